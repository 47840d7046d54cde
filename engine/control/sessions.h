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
  // News goes out in rounds to all sessions, at most this often (DESIGN §3): they share what is encoded, and a change
  // by itself costs nothing that grows with their number. Whom an answer waits for is told sooner.
  static constexpr absl::Duration kCoalesce = absl::Milliseconds(50);

  // `packed`: its agent understands rpc::AgentDown.packed_view.
  void Open(SessionId session, const NodeId& node, bool packed = false);
  void Close(SessionId session);
  std::optional<NodeId> NodeOf(SessionId session) const;
  std::optional<SessionId> SessionOf(const NodeId& node) const;
  std::vector<SessionId> All() const;

  void Changed(const DatasetId& dataset) { log_.push_back(dataset), Trim(); }
  void Changed(const NodeId& node) { log_.push_back(node), Trim(); }

  // A change when it is not what was known.
  void SetPool(const PoolCapacity& capacity, uint64_t trash);

  // There are events that nobody was told: a round is wanted.
  void Happened() { happened_ = true; }
  // Whether it is time to tell all; if so, the next round is counted from now.
  bool BeginRound(absl::Duration now);
  // What this session lacks, marked as sent, as messages in their order (rpc::AgentDown with a view, encoded); none
  // when it has everything. Sessions that lack the same share a message, and those that lack everything share one for a
  // while, with a delta behind it: when a thousand agents come back at once, the cluster is encoded once and in memory
  // once.
  std::vector<std::shared_ptr<const std::string>> Take(SessionId session, const Cluster& cluster, absl::Duration now);
  // The session's tree shows everything up to `version`.
  void Shown(SessionId session, uint64_t version);
  // Whether it is known to show that version. A session that is closed has nobody left to wait for.
  bool Shows(SessionId session, uint64_t version) const;
  uint64_t version() const { return first_ + log_.size() - 1; }  // of the newest change
  // When BeginRound wants to be called; InfiniteDuration when there is nothing to tell.
  absl::Duration NextRound() const;

 private:
  struct PoolChange {
    auto operator<=>(const PoolChange&) const = default;
  };
  using Change = std::variant<DatasetId, NodeId, PoolChange>;
  struct Session {
    NodeId node;
    bool packed = false;
    uint64_t version = 0;  // that it was sent; 0: has nothing
    uint64_t shown = 0;    // that it said it shows
  };
  struct Encoded {
    uint64_t to = 0;
    std::shared_ptr<const std::string> message;
    absl::Duration made_at;  // of the whole view
  };
  static Encoded Encode(rpc::ViewDelta view, bool packed, absl::Duration now);
  void Trim();
  // Everything since version `from`; all there is when that is 0.
  rpc::ViewDelta Since(uint64_t from, const Cluster& cluster) const;

  std::map<SessionId, Session> sessions_;
  std::map<NodeId, SessionId> by_node_;
  rpc::PoolView pool_;  // size 0: not known
  std::deque<Change> log_;
  uint64_t first_ = 2;  // the version of log_[0]; a session at version first_-1 lacks exactly the log
  bool happened_ = false;
  uint64_t told_ = 1;  // the version of the last round
  absl::Duration round_at_ = -absl::InfiniteDuration();
  std::map<bool, Encoded> whole_;       // by whether it is packed
  std::map<uint64_t, Encoded> deltas_;  // up to version(), by where they begin
};

}  // namespace flocker
