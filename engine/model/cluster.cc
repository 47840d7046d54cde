#include "engine/model/cluster.h"

#include <utility>

namespace flocker {
namespace {

bool HoldsName(const Dataset& dataset) {
  const Phase phase = dataset.placement.phase;
  if (phase == Phase::kPurging) return false;
  const bool left = phase == Phase::kRevoking || phase == Phase::kDetached || phase == Phase::kTrashed;
  return !(dataset.desired.deleted && left);
}

template <class Visit>
void ForEachOperation(const Dataset& dataset, Visit visit) {
  if (!dataset.operation.id.empty()) visit(dataset.operation);
  for (const Operation& operation : dataset.earlier) visit(operation);
}

}  // namespace

void Cluster::Index(const Dataset& dataset) {
  if (HoldsName(dataset)) {
    names_[dataset.name] = dataset.id;
    if (!dataset.desired.name.empty()) names_[dataset.desired.name] = dataset.id;
  }
  if (dataset.placement.node) of_node_[*dataset.placement.node].insert(dataset.id);
  if (dataset.desired.node) of_node_[*dataset.desired.node].insert(dataset.id);
  ForEachOperation(dataset, [&](const Operation& operation) { operations_.emplace(operation.id, dataset.id); });
  promised_ += dataset.size;
  if (dataset.desired.deleted) trash_used_ += UsedOf(dataset.id);
}

void Cluster::Unindex(const Dataset& dataset) {
  for (const std::string& name : {dataset.name, dataset.desired.name}) {
    const auto it = names_.find(name);
    if (it != names_.end() && it->second == dataset.id) names_.erase(it);
  }
  if (dataset.placement.node) of_node_[*dataset.placement.node].erase(dataset.id);
  if (dataset.desired.node) of_node_[*dataset.desired.node].erase(dataset.id);
  ForEachOperation(dataset, [&](const Operation& operation) { operations_.erase({operation.id, dataset.id}); });
  promised_ -= dataset.size;
  if (dataset.desired.deleted) trash_used_ -= UsedOf(dataset.id);
}

void Cluster::Put(Dataset dataset) {
  Dataset& place = datasets_[dataset.id];
  if (!place.id.empty()) Unindex(place);
  place = std::move(dataset);
  Index(place);
}

void Cluster::Erase(const DatasetId& id) {
  const auto it = datasets_.find(id);
  if (it == datasets_.end()) return;
  Unindex(it->second);
  datasets_.erase(it);
  cut_off_.erase(id);
  used_.erase(id);
}

bool Cluster::SetUsed(const DatasetId& id, uint64_t bytes) {
  const Dataset* dataset = Find(id);
  const uint64_t before = UsedOf(id);
  if (dataset == nullptr || before == bytes) return false;
  if (dataset->desired.deleted) trash_used_ += bytes - before;  // modulo 2^64
  used_[id] = bytes;
  return true;
}

uint64_t Cluster::UsedOf(const DatasetId& id) const {
  const auto it = used_.find(id);
  return it == used_.end() ? 0 : it->second;
}

void Cluster::SetCutOff(const DatasetId& id, bool cut_off) {
  if (cut_off) {
    cut_off_.insert(id);
  } else {
    cut_off_.erase(id);
  }
}

void Cluster::PutNode(Node node) {
  const NodeId id = node.id;
  if (!nodes_.contains(id)) ++counts_[static_cast<size_t>(LivenessOf(id))];
  nodes_[id] = std::move(node);
}

void Cluster::SetLiveness(const NodeId& id, Liveness liveness) {
  if (nodes_.contains(id)) {
    --counts_[static_cast<size_t>(LivenessOf(id))];
    ++counts_[static_cast<size_t>(liveness)];
  }
  liveness_[id] = liveness;
}

void Cluster::EraseNode(const NodeId& id) {
  if (nodes_.erase(id) != 0) --counts_[static_cast<size_t>(LivenessOf(id))];
  liveness_.erase(id);
  drained_.erase(id);
}

void Cluster::SetDrained(const NodeId& id, bool drained) {
  if (drained) {
    drained_.insert(id);
  } else {
    drained_.erase(id);
  }
}

const Dataset* Cluster::Find(const DatasetId& id) const {
  const auto it = datasets_.find(id);
  return it == datasets_.end() ? nullptr : &it->second;
}

const Dataset* Cluster::FindName(std::string_view name) const {
  const auto it = names_.find(name);
  return it == names_.end() ? nullptr : Find(it->second);
}

const Dataset* Cluster::FindByOperation(const std::string& operation_id) const {
  const auto it = operations_.lower_bound({operation_id, DatasetId()});
  return it == operations_.end() || it->first != operation_id ? nullptr : Find(it->second);
}

const Node* Cluster::FindNode(const NodeId& id) const {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

const Node* Cluster::FindNodeName(std::string_view name) const {
  for (const auto& [id, node] : nodes_) {
    if (node.name == name) return &node;
  }
  return nullptr;
}

const Lease* Cluster::LeaseOf(const DatasetId& dataset) const {
  const auto it = leases_.find(dataset);
  return it == leases_.end() ? nullptr : &it->second;
}

Liveness Cluster::LivenessOf(const NodeId& id) const {
  const auto it = liveness_.find(id);
  return it == liveness_.end() ? Liveness::kDown : it->second;
}

const std::set<DatasetId>& Cluster::DatasetsOf(const NodeId& node) const {
  static const std::set<DatasetId> kNone;
  const auto it = of_node_.find(node);
  return it == of_node_.end() ? kNone : it->second;
}

}  // namespace flocker
