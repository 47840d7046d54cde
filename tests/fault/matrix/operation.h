// One operation of the matrix, by its name in engine/base/fault_points.h: what it begins with, what it asks, and where
// the dataset may rest afterwards.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "tests/fault/matrix/world.h"

namespace flocker::testing {

class Operation {
 public:
  // `late`: the point lies behind the answer, where the node that was fenced comes back.
  Operation(World& world, std::string_view name, bool late);
  // Waits for its end.
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Brings the dataset to where the operation begins, with data in it.
  absl::Status Prepare();
  // Begins the operation; it goes on by itself.
  absl::Status Begin();
  // Its answer, and what held the dataset lets go.
  absl::Status Finish();

  // Where the dataset may rest after that answer: where the operation takes it, or where it was. An answer that says
  // neither (in progress, no connection) allows both.
  std::set<Rest> Allowed(const absl::Status& answer) const;
  // What was written before; empty when there was no dataset yet.
  const std::string& data() const { return data_; }

 private:
  struct Kind;
  static const Kind& KindOf(std::string_view name);
  // What will be asked; for "renew" nothing.
  absl::Status Compose();
  absl::Status MakeDataset();
  absl::Status TakeAlphaDown();
  absl::Status HideMount();

  World& world_;
  const Kind& kind_;
  const bool late_;
  std::string data_;
  rpc::Create create_;
  rpc::OperationRequest request_;
  absl::Status answer_;
  std::thread asker_;
  // A mount that no scan finds: its descriptor is on its way through a socket and belongs to no process.
  unique_fd hidden_sender_;
  unique_fd hidden_receiver_;
};

}  // namespace flocker::testing
