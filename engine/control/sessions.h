// The agents' open streams, and how far each has been told what the cluster looks like: a log of changes with numbers,
// so that a change costs the change and a stream that fell behind the log gets everything once.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "engine/model/admission.h"
#include "engine/model/cluster.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// One stream's number; never used twice in a run of control.
using SessionId = uint64_t;

rpc::NodeView ToView(const Cluster& cluster, const Node& node);
rpc::PoolView ToView(const PoolCapacity& capacity, uint64_t trash);
rpc::DatasetView ToView(const Dataset& dataset, uint64_t used);
// `end`: when it ends, by the clock of `now`; nothing: when it is released.
rpc::LeaseView ToView(const Lease& lease, std::optional<absl::Duration> end, absl::Duration now);

class Sessions {
 public:
  // Deltas to one session leave at most this often, unless an answer needs them sooner (DESIGN §3).
  static constexpr absl::Duration kCoalesce = absl::Milliseconds(50);

  void Open(SessionId session, const NodeId& node);
  void Close(SessionId session);
  std::optional<NodeId> NodeOf(SessionId session) const;
  std::optional<SessionId> SessionOf(const NodeId& node) const;
  std::vector<SessionId> All() const;

  void Changed(const DatasetId& dataset) { log_.push_back(dataset), Trim(); }
  void Changed(const NodeId& node) { log_.push_back(node), Trim(); }

  // A change when it is not what was known.
  void SetPool(const PoolCapacity& capacity, uint64_t trash);

  // What this session lacks, marked as sent, as messages in their order (rpc::AgentDown with a view, encoded); none
  // when it has everything, or was told a moment ago and `urgent` is false. Sessions that lack the same share a
  // message, and those that lack everything share one for a while, with a delta behind it: when a thousand agents come
  // back at once, the cluster is encoded once and in memory once.
  std::vector<std::shared_ptr<const std::string>> Take(SessionId session, const Cluster& cluster, bool urgent,
                                                       absl::Duration now);
  // The session's tree shows everything up to `version`.
  void Shown(SessionId session, uint64_t version);
  // Whether it is known to show that version. A session that is closed has nobody left to wait for.
  bool Shows(SessionId session, uint64_t version) const;
  uint64_t version() const { return first_ + log_.size() - 1; }  // of the newest change
  // When some session's coalescing ends; InfiniteDuration when nobody lacks anything.
  absl::Duration NextDelta() const;

 private:
  struct PoolChange {
    auto operator<=>(const PoolChange&) const = default;
  };
  using Change = std::variant<DatasetId, NodeId, PoolChange>;
  struct Session {
    NodeId node;
    uint64_t version = 0;  // that it was sent; 0: has nothing
    uint64_t shown = 0;    // that it said it shows
    absl::Duration sent_at = -absl::InfiniteDuration();
  };
  struct Encoded {
    uint64_t to = 0;
    std::shared_ptr<const std::string> message;
    absl::Duration made_at;  // of the whole view
  };
  void Trim();
  // Everything since version `from`; all there is when that is 0.
  std::string Encode(uint64_t from, const Cluster& cluster) const;

  std::map<SessionId, Session> sessions_;
  std::map<NodeId, SessionId> by_node_;
  rpc::PoolView pool_;  // size 0: not known
  std::deque<Change> log_;
  uint64_t first_ = 2;  // the version of log_[0]; a session at version first_-1 lacks exactly the log
  Encoded whole_;
  std::map<uint64_t, Encoded> deltas_;  // up to version(), by where they begin
};

}  // namespace flocker
