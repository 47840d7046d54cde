// A scenario: a cluster of an array machine and three nodes, shared by the scenarios of a run as long as none fails,
// and whole at the beginning of each. In the end it prints its time line from the event log and its figures; a failed
// one keeps everything that can explain it in $FLOCKER_LAB_FAILURES (default /tmp/flocker-lab-failures) and the next
// scenario gets a new cluster.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "lab/cluster.h"
#include "tests/harness/scratch.h"
#include "tests/lab/cluster/records.h"

namespace flocker::lab {

class Scenario : public ::testing::Test {
 protected:
  explicit Scenario(ClusterOptions options = {.nodes = 3}) : options_(options) {}
  void SetUp() override;
  void TearDown() override;

  Cluster& cluster() { return *cluster_; }
  Lab& lab() { return cluster_->lab(); }
  Machine& array() { return cluster_->array(); }
  Machine& node(int number) { return cluster_->node(number); }

  // The output of a command that must succeed.
  std::string Run(Machine& machine, const std::string& command, absl::Duration timeout = absl::Minutes(2));
  // Exit code 0, without a failure otherwise.
  bool Succeeds(Machine& machine, const std::string& command, absl::Duration timeout = absl::Minutes(2));
  // Repeats it until it succeeds; a failure with its last output at the deadline.
  void Until(Machine& machine, const std::string& command, absl::Duration timeout = absl::Minutes(2));

  // The dataset's directory: node<number>'s in the tree.
  std::string Path(int number) const { return "/flocker/node" + std::to_string(number) + "/" + dataset_; }
  // Made on node `number` by itself; waits for its first access.
  void Create(int number);
  // `mv` of the dataset, asked on machine `by`; returns when it can be used there.
  void Move(Machine& by, int from, int to);

  // `first` writes on node1, which loses its power; node2 takes the dataset, and `second` writes there. What `first`
  // had acknowledged is there. `records`: all there are in the end, in Path(2)/records.
  void FailOver(RecordWriter& first, RecordWriter& second, Records& records);

  // A figure in the scenario's report, as "failover: 7.2 s".
  void Report(const std::string& what, absl::Duration took);

  std::string dataset_;  // its name, of its own for each scenario

 private:
  class LastToLeave;
  void KeepEvidence();

  const ClusterOptions options_;
  static std::unique_ptr<flocker::testing::ScratchDir> scratch_;
  static std::unique_ptr<Cluster> cluster_;
  static ClusterOptions running_;
  static const ::testing::Environment* const last_to_leave_;  // gtest owns it
  std::string report_;
};

}  // namespace flocker::lab
