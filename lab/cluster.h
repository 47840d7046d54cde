// A Flocker cluster in the lab:
//
//                     storage 10.77.1.1 ┌───────────────────────────┐
//   node1 10.77.1.11 ───┐    ┌──────────┤ array: tgtd, data disk    │
//         10.77.2.11    ├─ switch       │        control (or apart) │
//   node2 … ────────────┘    └──────────┤                           │
//                     control 10.77.2.1 └───────────────────────────┘
//
// Every node has one card with an address in both nets. Cards for Cut: node1, array.storage, array.control.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lab/lab.h"

namespace flocker::lab {

struct ClusterOptions {
  int nodes = 2;
  bool docker = false;
  bool control_apart = false;      // on a machine `control` of its own, tgtadm through ssh
  bool systemd = false;            // is process 1 of the nodes, with the agent as its service
  std::string kernel = "release";  // the nodes'; the others have the release's

  friend bool operator==(const ClusterOptions&, const ClusterOptions&) = default;
};

class Cluster {
 public:
  static absl::StatusOr<std::unique_ptr<Cluster>> Create(const std::string& dir, const std::string& binaries,
                                                         const ClusterOptions& options);

  // Boots what is off, all at once, and returns when the cluster is whole: every machine up, every node connected,
  // every tree showing every node.
  absl::Status Boot(absl::Duration timeout = absl::Minutes(3));
  absl::Status WaitWhole(absl::Duration timeout = absl::Minutes(2));

  // `flockerctl <args>` on control's machine.
  absl::StatusOr<CommandResult> Ctl(const std::string& args, absl::Duration timeout = absl::Seconds(60));

  Lab& lab() { return *lab_; }
  Machine& array() { return *array_; }
  Machine& control() { return *control_; }
  // By number, from 1.
  Machine& node(int number) { return *nodes_.at(static_cast<size_t>(number) - 1); }
  const std::vector<Machine*>& nodes() const { return nodes_; }

 private:
  explicit Cluster(std::unique_ptr<Lab> lab) : lab_(std::move(lab)) {}
  bool Whole();

  const std::unique_ptr<Lab> lab_;
  Machine* array_ = nullptr;
  Machine* control_ = nullptr;
  std::vector<Machine*> nodes_;
};

}  // namespace flocker::lab
