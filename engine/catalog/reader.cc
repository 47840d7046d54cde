#include "engine/catalog/reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/catalog/tree.h"

namespace flocker {

using catalog::Key;
using catalog::Order;

absl::StatusOr<std::unique_ptr<CatalogReader>> CatalogReader::Open(const std::string& path) {
  ASSIGN_OR_RETURN(auto segment, catalog::Segment::Open(path));
  return std::unique_ptr<CatalogReader>(new CatalogReader(path, std::move(segment)));
}

CatalogReader::CatalogReader(std::string path, std::shared_ptr<const catalog::Segment> segment)
    : path_(std::move(path)), segment_(std::move(segment)) {}

std::shared_ptr<const catalog::Segment> CatalogReader::Segment() const {
  const MutexLock lock(mutex_);
  // Marked and still at the path: the writer is between the two steps of its switch, or died there. The file is whole.
  if (segment_->superseded() && !segment_->IsAt(path_)) {
    auto next = catalog::Segment::Open(path_);
    health_ =
        next.ok() ? absl::OkStatus() : Annotate(next.status(), "the newer catalogue is refused, the old one stays");
    if (next.ok()) segment_ = *std::move(next);
  }
  return segment_;
}

bool CatalogReader::Read(absl::FunctionRef<void(const View&)> read) const {
  while (true) {
    const auto segment = Segment();
    const uint64_t version = segment->version();
    const View view{segment->arena(), segment->root(version)};
    const bool sound = view.root.Plausible(version, view.arena.granules());
    if (sound) read(view);
    if (segment->oldest() <= version && sound && !view.arena.damaged()) return true;
    // Its blocks were reused under us: hundreds of versions went by meanwhile, so nobody who is stuck holds us up here.
    if (segment->version() != version) continue;
    const MutexLock lock(mutex_);
    health_ = absl::DataLossError(absl::StrCat("the catalogue ", path_, " is damaged: restart flocker-agent"));
    return false;
  }
}

uint64_t CatalogReader::version() const { return Segment()->version(); }

std::optional<CatalogDataset> CatalogReader::FindDataset(Order order, const Key& prefix) const {
  std::optional<CatalogDataset> found;
  const bool sound = Read([&](const View& view) {
    const uint32_t item = First(view.arena, order, view.root.tree(order), prefix.view());
    found = item == 0 ? std::nullopt : std::optional(catalog::Load<CatalogDataset>(view.arena, item));
  });
  return sound ? found : std::nullopt;
}

std::optional<CatalogNode> CatalogReader::FindNode(Order order, const Key& prefix) const {
  std::optional<CatalogNode> found;
  const bool sound = Read([&](const View& view) {
    const uint32_t item = First(view.arena, order, view.root.tree(order), prefix.view());
    found = item == 0 ? std::nullopt : std::optional(catalog::Load<CatalogNode>(view.arena, item));
  });
  return sound ? found : std::nullopt;
}

CatalogNode CatalogReader::Self() const {
  return FindNode(Order::kNodeId, Key().Add(Segment()->self())).value_or(CatalogNode());
}

std::vector<CatalogNode> CatalogReader::Nodes() const {
  std::vector<CatalogNode> nodes;
  const bool sound = Read([&](const View& view) {
    nodes.clear();
    Walk(view.arena, Order::kNodeName, view.root.tree(Order::kNodeName), "", view.root.nodes, [&](uint32_t item) {
      nodes.push_back(catalog::Load<CatalogNode>(view.arena, item));
      return true;
    });
  });
  return sound ? nodes : std::vector<CatalogNode>();
}

std::optional<CatalogNode> CatalogReader::FindNode(std::string_view name) const {
  return FindNode(Order::kNodeName, Key().AddName(name));
}

std::optional<CatalogDataset> CatalogReader::Find(const NodeId& node, std::string_view name) const {
  return FindDataset(Order::kPlace, Key().Add(catalog::ToBytes(node)).AddName(name));
}

std::optional<CatalogDataset> CatalogReader::FindById(const DatasetId& id) const {
  return FindDataset(Order::kId, Key().Add(catalog::ToBytes(id)));
}

std::optional<CatalogDataset> CatalogReader::FindBySerial(uint32_t serial) const {
  return FindDataset(Order::kSerial, Key().AddSerial(serial));
}

std::vector<CatalogDataset> CatalogReader::ListTrashed(std::string_view name) const {
  return Under(Key().Add(catalog::ToBytes(NodeId())).AddName(name));
}

std::vector<CatalogDataset> CatalogReader::Under(const Key& place) const {
  std::vector<CatalogDataset> datasets;
  const bool sound = Read([&](const View& view) {
    datasets.clear();
    Walk(view.arena, Order::kPlace, view.root.tree(Order::kPlace), place.view(), view.root.datasets,
         [&](uint32_t item) {
           datasets.push_back(catalog::Load<CatalogDataset>(view.arena, item));
           return true;
         });
  });
  return sound ? datasets : std::vector<CatalogDataset>();
}

CatalogReader::Totals CatalogReader::totals() const {
  Totals totals;
  Read([&](const View& view) { totals = {view.root.nodes, view.root.datasets}; });
  return totals;
}

CatalogPool CatalogReader::pool() const {
  CatalogPool pool;
  Read([&](const View& view) { pool = {view.root.pool_size, view.root.pool_free, view.root.pool_trash}; });
  return pool;
}

absl::Status CatalogReader::Health() const {
  const MutexLock lock(mutex_);
  return health_;
}

}  // namespace flocker
