// The cluster that the cells of the matrix share, with at most one dataset, "db", and for an exchange another, "other",
// on beta: who can be killed in it, what must be true of it when it has come to rest.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/rpc/flocker.pb.h"
#include "tests/harness/cluster.h"

namespace flocker::testing {

enum class Victim { kControl, kAgent, kLun, kFs, kArray, kAll };
inline constexpr Victim kVictims[] = {Victim::kControl, Victim::kAgent, Victim::kLun,
                                      Victim::kFs,      Victim::kArray, Victim::kAll};
std::string_view VictimName(Victim victim);

// Where the dataset rests.
enum class Rest { kAbsent, kOnAlpha, kOnBeta, kTrashed };
std::string_view RestName(Rest rest);

class World {
 public:
  World();
  absl::Status Start() { return cluster_.Start(); }

  TestCluster& cluster() { return cluster_; }
  std::string fault_dir() const { return cluster_.dir() + "/fault"; }
  std::string control_address() const { return "unix:" + cluster_.dir() + "/control.sock"; }

  // SIGKILL to every process of the kind, on both nodes; none is no error.
  void Kill(Victim victim);
  // What a supervisor does: starts control, agents and array again where they do not run.
  absl::Status StartWhatIsDown();
  // Cuts the dataset's iSCSI session as the array's operator could.
  absl::Status CutSession();

  // Waits until everything is as it is between operations: the dataset rests in one of `allowed`, and nodes, array and
  // pool hold what belongs to that and nothing else. DeadlineExceeded says what is not so.
  absl::StatusOr<Rest> Settle(const std::set<Rest>& allowed, absl::Duration timeout);

  absl::StatusOr<rpc::ViewReply> View() const;
  // An operation under an id of its own, as flockerctl asks it.
  absl::Status Execute(const rpc::OperationRequest& request) const;
  // Of the one dataset; NotFound when there is none.
  absl::StatusOr<rpc::DatasetView> TheDataset() const;
  // A second dataset, attached on beta, with that data in it. From now on, until there is none at all, it rests on the
  // node that the first does not rest on; and what is on alpha is called "db", what is on beta "other".
  absl::Status AddOther(const std::string& data);
  const std::string& other() const { return other_; }  // its id; empty when there is none
  absl::Status CheckOther() const;                     // its data is what it was
  absl::StatusOr<std::string> NodeId(const std::string& node) const;
  // The file in the dataset that rests on `node`: written and fsynced, read back past every cache.
  absl::Status WriteData(const std::string& node, const std::string& data) const;
  absl::StatusOr<std::string> ReadData(const std::string& node) const;

 private:
  std::string Unrest(const std::set<Rest>& allowed, Rest& found) const;
  std::string DatasetUnrest(const rpc::DatasetView& dataset, const std::map<std::string, std::string>& names,
                            Rest& found) const;
  std::string NodeUnrest(const std::string& node, size_t attached) const;
  std::string ArrayUnrest(size_t datasets, size_t attached) const;
  absl::StatusOr<std::string> DataPath(const std::string& node) const;
  // Processes of that name with something below our directory in their command line.
  std::vector<pid_t> Processes(std::string_view name, const std::string& below) const;

  mutable TestCluster cluster_;
  bool array_down_ = false;
  std::string other_;
  std::string other_data_;
};

}  // namespace flocker::testing
