// The last events of the cluster, kept for whoever was away: control has one for its agents, every agent one for its
// tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>

#include "engine/rpc/flocker.pb.h"

namespace flocker {

// Not for several threads at once.
class EventLog {
 public:
  static constexpr size_t kKept = 2048;
  static constexpr size_t kAtOnce = 256;  // keeps a message far below gRPC's limit of 4 MiB

  // Appends those it does not have, and answers them.
  rpc::Events Add(const rpc::Events& events);

  // What comes next for somebody who has everything up to `has`, at most kAtOnce; when that event is not known here,
  // it begins with the oldest that is kept.
  rpc::Events After(const rpc::EventMark& has) const;
  // Where somebody stands who got these, after standing at `before`.
  static rpc::EventMark MarkOf(const rpc::Events& events, const rpc::EventMark& before);

  rpc::EventMark last() const;

 private:
  using Name = std::pair<uint64_t, int64_t>;  // an EventMark
  std::deque<rpc::EventView> events_;
  std::set<Name> names_;  // of those in events_
};

}  // namespace flocker
