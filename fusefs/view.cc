#include "fusefs/view.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace flocker {

std::string TrashName(const CatalogDataset& dataset) { return absl::StrCat(dataset.name, "@", dataset.id.Short()); }

void View::Adopt(const rpc::TreeWelcome& welcome) {
  {
    MutexLock lock(mutex_);
    const auto self = NodeId::Parse(welcome.node_id());
    if (!self) spdlog::error("the agent's welcome names no node: '{}'", welcome.node_id());
    if (self) known_.self = *self;
    if (known_.catalog_path != welcome.catalog()) known_.catalog.reset();
    known_.catalog_path = welcome.catalog();
    known_.mount_root = welcome.mount_root();
  }
  Refresh();
}

void View::Refresh() {
  MutexLock lock(mutex_);
  if (known_.catalog != nullptr || known_.catalog_path.empty()) return;
  auto opened = CatalogReader::Open(known_.catalog_path);
  if (opened.ok()) {
    known_.catalog = *std::move(opened);
  } else {
    spdlog::warn("the tree is empty until the catalogue can be read: {}", std::string(opened.status().message()));
  }
}

View::Known View::known() const {
  MutexLock lock(mutex_);
  return known_;
}

std::vector<CatalogNode> View::Nodes() const {
  const Known now = known();
  return now.catalog ? now.catalog->Nodes() : std::vector<CatalogNode>();
}

std::optional<CatalogNode> View::FindNode(std::string_view name) const {
  const Known now = known();
  return now.catalog ? now.catalog->FindNode(name) : std::nullopt;
}

std::optional<CatalogNode> View::FindNode(const NodeId& id) const {
  for (CatalogNode& node : Nodes()) {
    if (node.id == id) return std::move(node);
  }
  return std::nullopt;
}

std::vector<CatalogDataset> View::List(const NodeId& node) const {
  const Known now = known();
  return now.catalog ? now.catalog->List(node) : std::vector<CatalogDataset>();
}

std::vector<CatalogDataset> View::Here() const {
  const Known now = known();
  return now.catalog && !now.self.empty() ? now.catalog->List(now.self) : std::vector<CatalogDataset>();
}

uint64_t View::version() const {
  const Known now = known();
  return now.catalog ? now.catalog->version() : 0;
}

CatalogReader::Totals View::Totals() const {
  const Known now = known();
  return now.catalog ? now.catalog->totals() : CatalogReader::Totals();
}

CatalogPool View::Pool() const {
  const Known now = known();
  return now.catalog ? now.catalog->pool() : CatalogPool();
}

std::optional<CatalogDataset> View::Find(const NodeId& node, std::string_view name) const {
  const Known now = known();
  return now.catalog ? now.catalog->Find(node, name) : std::nullopt;
}

std::optional<CatalogDataset> View::Find(const DatasetId& id) const {
  const Known now = known();
  return now.catalog ? now.catalog->FindById(id) : std::nullopt;
}

std::optional<CatalogDataset> View::FindTrashed(std::string_view entry) const {
  const Known now = known();
  const size_t at = entry.rfind('@');
  if (!now.catalog || at == std::string_view::npos) return std::nullopt;
  for (CatalogDataset& dataset : now.catalog->ListTrashed(entry.substr(0, at))) {
    if (dataset.id.Short() == entry.substr(at + 1)) return std::move(dataset);
  }
  return std::nullopt;
}

bool View::IsHere(const CatalogDataset& dataset) const {
  MutexLock lock(mutex_);
  return !dataset.node.empty() && dataset.node == known_.self;
}

std::string View::NodeName(const NodeId& id) const {
  const auto node = FindNode(id);
  return node ? node->name : "an unknown node";
}

std::string View::MountPath(const CatalogDataset& dataset) const {
  MutexLock lock(mutex_);
  return absl::StrCat(known_.mount_root, "/", dataset.id.str(), ".", dataset.mount_epoch);
}

}  // namespace flocker
