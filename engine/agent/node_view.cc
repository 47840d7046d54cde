#include "engine/agent/node_view.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/base/log.h"

namespace flocker {
namespace {

CatalogNode FromView(const rpc::NodeView& view) {
  return {.id = NodeId::Parse(view.id()).value_or(NodeId()), .name = view.name(), .connected = view.connected()};
}

CatalogDataset FromView(const rpc::DatasetView& view) {
  CatalogDataset dataset;
  dataset.id = DatasetId::Parse(view.id()).value_or(DatasetId());
  dataset.name = view.name();
  dataset.node = NodeId::Parse(view.node_id()).value_or(NodeId());
  dataset.size = view.size();
  dataset.used = view.used();
  dataset.phase = PhaseFromName(view.phase()).value_or(Phase::kProvisioning);
  dataset.epoch = view.epoch();
  dataset.mount_epoch = view.mount_epoch();
  dataset.root_uid = view.root_uid();
  dataset.root_gid = view.root_gid();
  dataset.root_mode = view.root_mode();
  dataset.created_ms = view.created_ms();
  dataset.error = view.error().substr(0, kMaxCatalogError);
  return dataset;
}

rpc::Description DescriptionOf(const rpc::DatasetView& view) {
  rpc::Description description;
  description.set_known(true);
  description.set_protect(view.protect());
  *description.mutable_metadata() = view.metadata();
  return description;
}

}  // namespace

void NodeView::Merge(CatalogDataset& dataset) const {
  const auto it = mounted_.find(dataset.id);
  dataset.serial = it == mounted_.end() ? 0 : it->second.serial;
  // While it is mounted here, the path is that of the mount, whatever control has in mind.
  if (dataset.serial != 0) dataset.mount_epoch = it->second.mount_epoch;
}

CatalogDataset NodeView::Merged(CatalogDataset dataset) const {
  Merge(dataset);
  return dataset;
}

void NodeView::Publish(const CatalogChange& change) {
  const uint64_t before = catalog_->version();
  if (const absl::Status status = catalog_->Publish(change); !status.ok()) {
    spdlog::error("the catalogue cannot be published: {}", std::string(status.message()));
    return;
  }
  if (catalog_->version() != before) changed_(catalog_->version());
}

void NodeView::Remember(const CatalogReader& before) {
  const MutexLock lock(mutex_);
  std::vector<NodeId> places = {NodeId()};  // the trash
  for (const CatalogNode& node : before.Nodes()) {
    places.push_back(node.id);
    node_names_[node.id] = node.name;
  }
  for (const NodeId& place : places) {
    for (CatalogDataset& dataset : before.List(place)) datasets_[dataset.id] = std::move(dataset);
  }
}

void NodeView::ForgetUnmounted() {
  const MutexLock lock(mutex_);
  CatalogChange change;
  for (auto& [id, dataset] : datasets_) {
    if (dataset.serial == 0 || mounted_.contains(id)) continue;
    dataset.serial = 0;
    change.datasets.push_back(dataset);
  }
  Publish(change);
}

void NodeView::Apply(const rpc::ViewDelta& delta) {
  const MutexLock lock(mutex_);
  CatalogChange change;
  change.complete = delta.from() == 0;
  if (change.complete) {
    datasets_.clear();
    descriptions_.clear();
    node_names_.clear();
  }
  for (const rpc::NodeView& node : delta.nodes()) {
    change.nodes.push_back(FromView(node));
    node_names_[change.nodes.back().id] = node.name();
  }
  for (const std::string& id : delta.gone_nodes()) {
    const auto node = NodeId::Parse(id);
    if (!node) continue;
    change.gone_nodes.push_back(*node);
    node_names_.erase(*node);
  }
  for (const rpc::DatasetView& view : delta.datasets()) {
    CatalogDataset dataset = FromView(view);
    datasets_[dataset.id] = dataset;
    descriptions_[dataset.id] = DescriptionOf(view);
    Merge(dataset);
    change.datasets.push_back(std::move(dataset));
  }
  for (const std::string& text : delta.gone_datasets()) {
    const auto id = DatasetId::Parse(text);
    if (!id) continue;
    datasets_.erase(*id);
    descriptions_.erase(*id);
    change.gone_datasets.push_back(*id);
  }
  if (delta.has_pool()) {
    change.pool = CatalogPool{.size = delta.pool().size(), .free = delta.pool().free(), .trash = delta.pool().trash()};
  }
  version_ = delta.to();
  Publish(change);
}

void NodeView::SetMounted(const DatasetId& id, uint32_t serial, uint64_t mount_epoch) {
  const MutexLock lock(mutex_);
  const auto it = mounted_.find(id);
  // A lingering older attachment has no say about a newer one.
  if (it != mounted_.end() && it->second.mount_epoch > mount_epoch) return;
  if (serial == 0) {
    if (it == mounted_.end()) return;
    mounted_.erase(it);
  } else {
    mounted_[id] = {.serial = serial, .mount_epoch = mount_epoch};
  }
  const auto known = datasets_.find(id);
  if (known == datasets_.end()) return;  // control has not told of it yet
  CatalogDataset dataset = known->second;
  Merge(dataset);
  Publish({.datasets = {std::move(dataset)}});
}

uint64_t NodeView::version() const {
  const MutexLock lock(mutex_);
  return version_;
}

std::string NodeView::NameOf(const DatasetId& id) const {
  const MutexLock lock(mutex_);
  const auto it = datasets_.find(id);
  return it == datasets_.end() ? std::string() : it->second.name;
}

std::vector<CatalogDataset> NodeView::Datasets() const {
  const MutexLock lock(mutex_);
  std::vector<CatalogDataset> shown;
  for (const auto& [id, dataset] : datasets_) {
    if (!dataset.node.empty()) shown.push_back(Merged(dataset));
  }
  return shown;
}

std::optional<CatalogDataset> NodeView::Find(const std::string& name) const {
  const MutexLock lock(mutex_);
  for (const auto& [id, dataset] : datasets_) {
    if (!dataset.node.empty() && dataset.name == name) return Merged(dataset);
  }
  return std::nullopt;
}

std::string NodeView::NodeName(const NodeId& id) const {
  const MutexLock lock(mutex_);
  const auto it = node_names_.find(id);
  return it == node_names_.end() ? std::string() : it->second;
}

rpc::Description NodeView::Describe(const DatasetId& id) const {
  const MutexLock lock(mutex_);
  const auto it = descriptions_.find(id);
  return it == descriptions_.end() ? rpc::Description() : it->second;
}

}  // namespace flocker
