#include "engine/control/restored_state.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/model/codec.h"
#include "engine/model/planner.h"
#include "engine/store/backup.h"

namespace flocker {
namespace {

constexpr char kRemedy[] = "stop flocker-control and run it once with --adopt, which fences everything, to go on";

}  // namespace

std::vector<std::string> NewerOnArray(const Snapshot& state, const std::vector<ArrayEntry>& entries) {
  std::map<DatasetId, const Dataset*> known;
  for (const Dataset& dataset : state.datasets) known[dataset.id] = &dataset;
  std::vector<std::string> newer;
  for (const ArrayEntry& entry : entries) {
    const auto it = known.find(entry.id);
    if (it == known.end()) {
      newer.push_back(absl::StrCat(entry.id.str(), " is on the array and unknown to the state"));
      continue;
    }
    const Dataset& dataset = *it->second;
    uint64_t epoch = 0;
    if (const auto record = DatasetFromJson(entry.record); record.ok()) {
      epoch = record->placement.epoch;
      if (record->formatted && !dataset.formatted) {
        newer.push_back(absl::StrCat(dataset.name, " (", entry.id.str(), ") was formatted after the state was saved"));
      }
    }
    for (const std::string& initiator : entry.allowed) {
      epoch = std::max(epoch, GrantOfInitiator(entry.id, initiator).epoch);
    }
    for (const ArraySession& session : entry.sessions) {
      epoch = std::max(epoch, GrantOfInitiator(entry.id, session.initiator).epoch);
    }
    if (epoch > dataset.placement.epoch) {
      newer.push_back(absl::StrCat(dataset.name, " (", entry.id.str(), ") has epoch ", epoch,
                                   " on the array and epoch ", dataset.placement.epoch, " in the state"));
    }
  }
  return newer;
}

RestoredState::RestoredState(const Snapshot& snapshot) : held_(snapshot.meta.contains(kRestoredMeta)) {
  if (!held_) return;
  origin_ = snapshot.meta.at(kRestoredMeta);
  for (const Node& node : snapshot.nodes) unheard_.insert(node.id);
}

bool RestoredState::Hear(const Cluster& cluster, const NodeId& node, const rpc::AgentHello& hello) {
  unheard_.erase(node);
  newer_.erase(node);
  for (const rpc::Held& item : hello.held()) {
    const auto id = DatasetId::Parse(item.dataset_id());
    const Dataset* dataset = id ? cluster.Find(*id) : nullptr;
    if (dataset != nullptr && item.epoch() <= dataset->placement.epoch) continue;
    newer_[node] = absl::StrCat(hello.node().name(), " holds ", dataset != nullptr ? dataset->name : item.dataset_id(),
                                " under epoch ", item.epoch(),
                                dataset != nullptr ? absl::StrCat(", newer than the state's ", dataset->placement.epoch)
                                                   : std::string(", and the state does not know it"));
  }
  if (!unheard_.empty() || !newer_.empty()) return false;
  held_ = false;
  return true;
}

std::string RestoredState::Reason(const Cluster& cluster) const {
  std::vector<std::string> reasons;
  for (const auto& [node, text] : newer_) reasons.push_back(text);
  for (const NodeId& id : unheard_) {
    const Node* node = cluster.FindNode(id);
    reasons.push_back(absl::StrCat("node ", node != nullptr ? node->name : id.str(), " was not heard yet"));
  }
  return absl::StrCat("the state was restored (", origin_,
                      ") and may be older than what the nodes hold: ", absl::StrJoin(reasons, "; "),
                      ". Wait for the nodes, or ", kRemedy);
}

}  // namespace flocker
