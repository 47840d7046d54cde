#include "engine/catalog/writer.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/catalog/record.h"
#include "engine/catalog/tree.h"
#include "engine/model/names.h"

namespace flocker {

using catalog::Key;
using catalog::Order;
using catalog::Root;
using catalog::Segment;

namespace {

constexpr uint64_t kFirstFileSize = 1 << 20;  // bytes; some 1,500 datasets

// Granules that putting or dropping one entry may take: a record, and the paths of an Erase and an Insert in three
// trees of the greatest depth (kMaxDepth in tree.cc).
constexpr size_t kRoomForOne = 4096;

template <class Entry>
constexpr Order kIdOrder = std::is_same_v<Entry, CatalogNode> ? Order::kNodeId : Order::kId;

template <class Entry>
uint32_t& CountOf(Root& root) {
  return std::is_same_v<Entry, CatalogNode> ? root.nodes : root.datasets;
}

template <class Entry>
absl::Status CheckEntry(const Entry& entry) {
  if (entry.id.empty()) return Refuse(Cause::kInvalid, absl::StrCat("catalogue entry '", entry.name, "' has no id"));
  return CheckName(entry.name);
}

absl::Status CheckChange(const CatalogChange& change) {
  for (const CatalogNode& node : change.nodes) RETURN_IF_ERROR(CheckEntry(node));
  for (const CatalogDataset& dataset : change.datasets) RETURN_IF_ERROR(CheckEntry(dataset));
  return absl::OkStatus();
}

template <class Entry>
std::vector<Entry> ReadAll(const catalog::Arena& arena, Root root) {
  std::vector<Entry> entries;
  Walk(arena, kIdOrder<Entry>, root.tree(kIdOrder<Entry>), "", CountOf<Entry>(root), [&](uint32_t item) {
    entries.push_back(catalog::Load<Entry>(arena, item));
    return true;
  });
  return entries;
}

CatalogPool PoolOf(const Root& root) {
  return {.size = root.pool_size, .free = root.pool_free, .trash = root.pool_trash};
}

// Everything that a generation says. Nothing, when it is damaged: the agent will hear it all from control.
CatalogChange ReadAll(const Segment& segment) {
  const catalog::Arena arena = segment.arena();
  const Root root = segment.root(segment.version());
  if (!root.Plausible(segment.version(), arena.granules())) return {};
  CatalogChange all;
  all.nodes = ReadAll<CatalogNode>(arena, root);
  all.datasets = ReadAll<CatalogDataset>(arena, root);
  all.pool = PoolOf(root);
  if (arena.damaged() || !CheckChange(all).ok()) return {};
  return all;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CatalogWriter>> CatalogWriter::Open(const std::string& path, const CatalogNode& self) {
  RETURN_IF_ERROR(CheckEntry(self));
  CatalogChange content;
  uint64_t version = 0;
  const auto previous = Segment::Open(path);
  if (previous.ok() && (*previous)->self() == catalog::ToBytes(self.id)) {
    content = ReadAll(**previous);
    version = (*previous)->version();
  }
  content.nodes.push_back(self);  // in place of what the previous generation says about it
  ASSIGN_OR_RETURN(auto segment, Segment::Create(path, kFirstFileSize, catalog::ToBytes(self.id)));
  std::unique_ptr<CatalogWriter> writer(new CatalogWriter(path, self.id, std::move(segment), version));
  RETURN_IF_ERROR(writer->Publish(content));
  return writer;
}

CatalogWriter::CatalogWriter(std::string path, NodeId self, std::shared_ptr<Segment> segment, uint64_t version)
    : path_(std::move(path)),
      self_(std::move(self)),
      segment_(std::move(segment)),
      heap_(segment_->arena()),
      committed_{.version = version,
                 .trees = {},
                 .datasets = 0,
                 .nodes = 0,
                 .zero = 0,
                 .pool_size = 0,
                 .pool_free = 0,
                 .pool_trash = 0},
      root_(committed_) {}

absl::Status CatalogWriter::Publish(const CatalogChange& change) {
  RETURN_IF_ERROR(CheckChange(change));
  root_.version = committed_.version + 1;
  const uint64_t oldest = heap_.Begin(root_.version);
  if (published_) published_->set_oldest(oldest);
  absl::Status status = Apply(change);
  if (status.ok()) status = Commit();
  if (!status.ok()) Rollback();
  return status;
}

absl::Status CatalogWriter::Apply(const CatalogChange& change) {
  for (const NodeId& id : change.gone_nodes) RETURN_IF_ERROR(Drop<CatalogNode>(id));
  for (const DatasetId& id : change.gone_datasets) RETURN_IF_ERROR(Drop<CatalogDataset>(id));
  if (change.complete) {
    RETURN_IF_ERROR(DropAllBut(change.nodes));
    RETURN_IF_ERROR(DropAllBut(change.datasets));
  }
  for (const CatalogNode& node : change.nodes) RETURN_IF_ERROR(Put(node));
  for (CatalogDataset dataset : change.datasets) {
    dataset.error.resize(std::min(dataset.error.size(), kMaxCatalogError));
    RETURN_IF_ERROR(Put(dataset));
  }
  if (change.pool) {
    root_.pool_size = change.pool->size;
    root_.pool_free = change.pool->free;
    root_.pool_trash = change.pool->trash;
  }
  return absl::OkStatus();
}

absl::Status CatalogWriter::Commit() {
  if (heap_.arena().damaged())
    return absl::InternalError(absl::StrCat("the trees of the catalogue ", path_, " are broken"));
  const bool same = root_.trees == committed_.trees && PoolOf(root_) == PoolOf(committed_);
  if (published_ && same) {  // everything was already so
    Rollback();
    return absl::OkStatus();
  }
  segment_->Commit(root_);
  if (segment_ != published_) RETURN_IF_ERROR(segment_->Switch(path_));
  published_ = segment_;
  committed_ = root_;
  heap_.Commit();
  return absl::OkStatus();
}

void CatalogWriter::Rollback() {
  root_ = committed_;
  if (published_) segment_ = published_;
  heap_.Rollback(segment_->arena());
}

absl::Status CatalogWriter::Reserve() {
  if (heap_.room() >= kRoomForOne) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto larger, Segment::Create(path_, segment_->file_size() * 2, segment_->self()));
  larger->CopyFrom(*segment_, heap_.used());
  heap_.MoveTo(larger->arena());
  segment_ = std::move(larger);
  return absl::OkStatus();
}

template <class Entry>
uint32_t CatalogWriter::Find(const typename Entry::Id& id) {
  return First(heap_.arena(), kIdOrder<Entry>, root_.tree(kIdOrder<Entry>), Key().Add(catalog::ToBytes(id)).view());
}

template <class Entry>
absl::Status CatalogWriter::Put(const Entry& entry) {
  const uint32_t old = Find<Entry>(entry.id);
  Entry present;
  if (old != 0) present = catalog::Load<Entry>(heap_.arena(), old);
  if (present == entry) return absl::OkStatus();
  RETURN_IF_ERROR(Reserve());
  if (old != 0) Erase(old, present);
  const uint32_t item = heap_.Allocate(catalog::GranulesOf(entry));
  Store(heap_.arena(), item, entry);
  for (const Order order : catalog::OrdersOf(entry))
    root_.tree(order) = catalog::Insert(heap_, order, root_.tree(order), item);
  ++CountOf<Entry>(root_);
  return absl::OkStatus();
}

template <class Entry>
absl::Status CatalogWriter::Drop(const typename Entry::Id& id) {
  const uint32_t item = Find<Entry>(id);
  if (item == 0 || id.str() == self_.str()) return absl::OkStatus();
  RETURN_IF_ERROR(Reserve());
  Erase(item, catalog::Load<Entry>(heap_.arena(), item));
  return absl::OkStatus();
}

template <class Entry>
absl::Status CatalogWriter::DropAllBut(const std::vector<Entry>& kept) {
  absl::flat_hash_set<std::string_view> ids;
  for (const Entry& entry : kept) ids.insert(entry.id.str());
  for (const Entry& entry : ReadAll<Entry>(heap_.arena(), root_)) {
    if (!ids.contains(entry.id.str())) RETURN_IF_ERROR(Drop<Entry>(entry.id));
  }
  return absl::OkStatus();
}

template <class Entry>
void CatalogWriter::Erase(uint32_t item, const Entry& entry) {
  for (const Order order : catalog::OrdersOf(entry))
    root_.tree(order) = catalog::Erase(heap_, order, root_.tree(order), item);
  heap_.Retire(item, catalog::GranulesOf(entry));
  --CountOf<Entry>(root_);
}

}  // namespace flocker
