// The simulated disk of control: what was committed, in order, and nothing else. It survives every crash of control's.
#pragma once

#include <map>
#include <set>
#include <string>

#include "engine/model/dataset.h"
#include "engine/store/store.h"

namespace flocker::sim {

class Durable {
 public:
  void Apply(const Batch& batch) {
    for (const Dataset& dataset : batch.put) datasets_[dataset.id] = dataset;
    for (const DatasetId& id : batch.erase) datasets_.erase(id);
    for (const DatasetId& id : batch.tombstones) tombstones_.insert(id);
    for (const Node& node : batch.put_nodes) nodes_[node.id] = node;
    for (const auto& [key, value] : batch.meta) value.empty() ? void(meta_.erase(key)) : void(meta_[key] = value);
    if (!batch.events.empty()) last_event_ = batch.events.back().seq;
  }
  Snapshot Load() const {
    Snapshot snapshot;
    for (const auto& [id, dataset] : datasets_) snapshot.datasets.push_back(dataset);
    for (const auto& [id, node] : nodes_) snapshot.nodes.push_back(node);
    snapshot.tombstones.assign(tombstones_.begin(), tombstones_.end());
    snapshot.meta = meta_;
    snapshot.last_event = last_event_;
    return snapshot;
  }

  const std::map<DatasetId, Dataset>& datasets() const { return datasets_; }
  const Dataset* Find(const DatasetId& id) const {
    const auto it = datasets_.find(id);
    return it == datasets_.end() ? nullptr : &it->second;
  }
  bool purged(const DatasetId& id) const { return tombstones_.contains(id); }
  const std::map<std::string, std::string>& meta() const { return meta_; }
  uint64_t last_event() const { return last_event_; }

 private:
  std::map<DatasetId, Dataset> datasets_;
  std::map<NodeId, Node> nodes_;
  std::set<DatasetId> tombstones_;
  std::map<std::string, std::string> meta_;
  uint64_t last_event_ = 0;
};

}  // namespace flocker::sim
