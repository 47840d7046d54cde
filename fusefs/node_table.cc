#include "fusefs/node_table.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

// Keys never leave this file; the letter keeps the kinds apart.
std::string DatasetKey(const DatasetId& dataset, const Place& place) {
  return absl::StrCat("d", dataset.str(), place.node.str(), place.name);
}

}  // namespace

NodeTable::NodeTable() {
  Node tree;
  tree.id = kTreeId;
  entries_[kTreeId] = Entry{std::make_shared<const Node>(std::move(tree)), "t", 1};
}

std::shared_ptr<const Node> NodeTable::Find(uint64_t id) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.node;
}

std::shared_ptr<const Node> NodeTable::Remember(std::string key, Node node) {
  MutexLock lock(mutex_);
  const auto [known, fresh] = ids_.try_emplace(key, next_);
  if (fresh) {
    node.id = next_++;
    entries_[node.id] = Entry{std::make_shared<const Node>(node), std::move(key), 0};
  }
  Entry& entry = entries_[known->second];
  ++entry.lookups;
  return entry.node;
}

std::shared_ptr<const Node> NodeTable::NodeDirectory(const NodeId& node) {
  Node entry;
  entry.kind = NodeKind::kNodeDirectory;
  entry.node = node;
  return Remember(absl::StrCat("n", node.str()), std::move(entry));
}

std::shared_ptr<const Node> NodeTable::Self() {
  Node entry;
  entry.kind = NodeKind::kSelf;
  return Remember("s", std::move(entry));
}

std::shared_ptr<const Node> NodeTable::UuidLink(const DatasetId& dataset) {
  Node entry;
  entry.kind = NodeKind::kUuidLink;
  entry.dataset = dataset;
  return Remember(absl::StrCat("u", dataset.str()), std::move(entry));
}

std::shared_ptr<const Node> NodeTable::Dataset(const DatasetId& dataset, const Place& place) {
  Node entry;
  entry.kind = NodeKind::kDataset;
  entry.dataset = dataset;
  return Remember(DatasetKey(dataset, place), std::move(entry));
}

std::shared_ptr<const Node> NodeTable::File(const DatasetId& dataset, uint32_t serial, FileHandle handle) {
  std::string key = absl::StrCat("f", serial, ".", handle.type, ".", handle.bytes);
  Node entry;
  entry.kind = NodeKind::kFile;
  entry.dataset = dataset;
  entry.serial = serial;
  entry.handle = std::move(handle);
  return Remember(std::move(key), std::move(entry));
}

void NodeTable::Moved(const DatasetId& dataset, const Place& from, const Place& to) {
  MutexLock lock(mutex_);
  const auto found = ids_.find(DatasetKey(dataset, from));
  if (found == ids_.end()) return;
  const uint64_t id = found->second;
  ids_.erase(found);
  entries_[id].key = DatasetKey(dataset, to);
  ids_[entries_[id].key] = id;
}

void NodeTable::Forget(uint64_t id, uint64_t lookups) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || id == kTreeId) return;
  Entry& entry = found->second;
  if (entry.lookups > lookups) {
    entry.lookups -= lookups;
    return;
  }
  // The key may name a younger id by now (see Moved).
  const auto known = ids_.find(entry.key);
  if (known != ids_.end() && known->second == id) ids_.erase(known);
  entries_.erase(found);
}

size_t NodeTable::size() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

}  // namespace flocker
