#include "engine/control/sessions.h"

#include <algorithm>
#include <set>
#include <string>

#include "engine/rpc/packed_view.h"

namespace flocker {
namespace {

// A session that is further behind gets the whole view: dearer than this many changes it is not.
constexpr size_t kMaxLog = 20'000;
constexpr absl::Duration kKeepWhole = absl::Seconds(10);

std::string IdText(const std::optional<NodeId>& id) { return id ? id->str() : std::string(); }

}  // namespace

rpc::PoolView ToView(const PoolCapacity& capacity, uint64_t trash) {
  rpc::PoolView view;
  view.set_size(capacity.total);
  view.set_free(capacity.free);
  view.set_trash(trash);
  return view;
}

rpc::NodeView ToView(const Cluster& cluster, const Node& node) {
  rpc::NodeView view;
  view.set_id(node.id.str());
  view.set_name(node.name);
  view.set_address(node.address);
  view.set_connected(cluster.LivenessOf(node.id) == Liveness::kConnected);
  view.set_drained(cluster.Drained(node.id));
  return view;
}

rpc::DatasetView ToView(const Dataset& dataset, uint64_t used) {
  rpc::DatasetView view;
  view.set_id(dataset.id.str());
  view.set_name(dataset.name);
  view.set_node_id(IdText(dataset.ShownOn()));
  view.set_size(dataset.size);
  view.set_phase(std::string(PhaseName(dataset.placement.phase)));
  view.set_epoch(dataset.placement.epoch);
  view.set_mount_epoch(dataset.placement.mount_epoch);
  view.set_created_ms(dataset.created_ms);
  view.set_error(dataset.error);
  view.mutable_metadata()->insert(dataset.metadata.begin(), dataset.metadata.end());
  view.set_deleted(dataset.desired.deleted);
  view.set_desired_node_id(IdText(dataset.desired.node));
  view.set_root_uid(dataset.root_uid);
  view.set_root_gid(dataset.root_gid);
  view.set_root_mode(dataset.root_mode);
  view.set_protect(dataset.protect);
  view.set_used(used);
  return view;
}

rpc::LeaseView ToView(const Lease& lease, std::optional<absl::Duration> end, absl::Duration now) {
  rpc::LeaseView view;
  view.set_dataset_id(lease.dataset.str());
  view.set_node_id(lease.node.str());
  if (end) view.set_seconds(absl::ToDoubleSeconds(*end - now));
  return view;
}

void Sessions::Open(SessionId session, const NodeId& node, bool packed) {
  sessions_[session] = {.node = node, .packed = packed};
  by_node_[node] = session;
}

void Sessions::Close(SessionId session) {
  const auto it = sessions_.find(session);
  if (it == sessions_.end()) return;
  const auto mine = by_node_.find(it->second.node);
  if (mine != by_node_.end() && mine->second == session) by_node_.erase(mine);
  sessions_.erase(it);
}

std::optional<NodeId> Sessions::NodeOf(SessionId session) const {
  const auto it = sessions_.find(session);
  if (it == sessions_.end()) return std::nullopt;
  return it->second.node;
}

std::optional<SessionId> Sessions::SessionOf(const NodeId& node) const {
  const auto it = by_node_.find(node);
  if (it == by_node_.end()) return std::nullopt;
  return it->second;
}

std::vector<SessionId> Sessions::All() const {
  std::vector<SessionId> all;
  all.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) all.push_back(id);
  return all;
}

void Sessions::Trim() {
  while (log_.size() > kMaxLog) {
    log_.pop_front();
    ++first_;
  }
}

void Sessions::SetPool(const PoolCapacity& capacity, uint64_t trash) {
  if (pool_.size() == capacity.total && pool_.free() == capacity.free && pool_.trash() == trash) return;
  pool_ = ToView(capacity, trash);
  log_.emplace_back(PoolChange());
  Trim();
}

rpc::ViewDelta Sessions::Since(uint64_t from, const Cluster& cluster) const {
  rpc::ViewDelta delta;
  std::set<Change> changes;
  if (from == 0) {
    for (const auto& [node_id, node] : cluster.nodes()) changes.insert(node_id);
    for (const auto& [dataset_id, dataset] : cluster.datasets()) changes.insert(dataset_id);
    if (pool_.size() != 0) changes.insert(PoolChange());
  } else {
    delta.set_from(from);
    changes.insert(log_.begin() + static_cast<std::ptrdiff_t>(from + 1 - first_), log_.end());
  }
  delta.set_to(version());
  for (const Change& change : changes) {
    if (const auto* node_id = std::get_if<NodeId>(&change)) {
      if (const Node* node = cluster.FindNode(*node_id)) {
        *delta.add_nodes() = ToView(cluster, *node);
      } else {
        delta.add_gone_nodes(node_id->str());
      }
      continue;
    }
    if (std::holds_alternative<PoolChange>(change)) {
      *delta.mutable_pool() = pool_;
      continue;
    }
    const auto& dataset_id = std::get<DatasetId>(change);
    if (const Dataset* dataset = cluster.Find(dataset_id)) {
      *delta.add_datasets() = ToView(*dataset, cluster.UsedOf(dataset_id));
    } else {
      delta.add_gone_datasets(dataset_id.str());
    }
  }
  return delta;
}

Sessions::Encoded Sessions::Encode(rpc::ViewDelta view, bool packed, absl::Duration now) {
  Encoded encoded{.to = view.to(), .message = nullptr, .made_at = now};
  rpc::AgentDown message;
  if (packed) {
    message.set_packed_view(PackView(view));
  } else {
    *message.mutable_view() = std::move(view);
  }
  encoded.message = std::make_shared<const std::string>(message.SerializeAsString());
  return encoded;
}

bool Sessions::BeginRound(absl::Duration now) {
  if (now < NextRound()) return false;
  happened_ = false;
  told_ = version();
  round_at_ = now;
  return true;
}

std::vector<std::shared_ptr<const std::string>> Sessions::Take(SessionId id, const Cluster& cluster,
                                                               absl::Duration now) {
  std::erase_if(whole_, [&](const auto& each) { return now - each.second.made_at > kKeepWhole; });
  const auto it = sessions_.find(id);
  if (it == sessions_.end() || it->second.version == version()) return {};
  Session& session = it->second;
  std::vector<std::shared_ptr<const std::string>> messages;
  if (session.version + 1 < first_) {
    Encoded& whole = whole_[session.packed];
    if (whole.message == nullptr || whole.to + 1 < first_) whole = Encode(Since(0, cluster), session.packed, now);
    session.version = whole.to;
    messages.push_back(whole.message);
  }
  if (session.version == version()) return messages;
  if (!deltas_.empty() && deltas_.begin()->second.to != version()) deltas_.clear();
  Encoded& delta = deltas_[session.version];
  if (delta.message == nullptr) delta = Encode(Since(session.version, cluster), /*packed=*/false, now);
  session.version = version();
  messages.push_back(delta.message);
  return messages;
}

void Sessions::Shown(SessionId session, uint64_t version) {
  const auto it = sessions_.find(session);
  if (it != sessions_.end()) it->second.shown = std::max(it->second.shown, version);
}

bool Sessions::Shows(SessionId session, uint64_t version) const {
  const auto it = sessions_.find(session);
  return it == sessions_.end() || it->second.shown >= version;
}

absl::Duration Sessions::NextRound() const {
  if (told_ == version() && !happened_) return absl::InfiniteDuration();
  return round_at_ + kCoalesce;
}

}  // namespace flocker
