#include "fusefs/inode_table.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

// Keys never leave this file; the letter keeps the kinds apart.
std::string DatasetKey(const DatasetId& dataset, const Place& place) {
  return absl::StrCat("d", dataset.str(), place.node.str(), place.name);
}

}  // namespace

InodeTable::InodeTable() {
  Inode tree;
  tree.id = kTreeId;
  entries_[kTreeId] = Entry{std::make_shared<const Inode>(std::move(tree)), "t", 1};
}

std::shared_ptr<const Inode> InodeTable::Find(uint64_t id) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.node;
}

std::shared_ptr<const Inode> InodeTable::Remember(std::string key, Inode node) {
  MutexLock lock(mutex_);
  const auto [known, fresh] = ids_.try_emplace(key, next_);
  if (fresh) {
    node.id = next_++;
    entries_[node.id] = Entry{std::make_shared<const Inode>(node), std::move(key), 0};
  }
  Entry& entry = entries_[known->second];
  ++entry.lookups;
  return entry.node;
}

std::shared_ptr<const Inode> InodeTable::NodeDirectory(const NodeId& node) {
  return Remember(absl::StrCat("n", node.str()), {.kind = InodeKind::kNodeDirectory, .node = node});
}

std::shared_ptr<const Inode> InodeTable::Self() { return Remember("s", {.kind = InodeKind::kSelf}); }

std::shared_ptr<const Inode> InodeTable::UuidLink(const DatasetId& dataset) {
  return Remember(absl::StrCat("u", dataset.str()), {.kind = InodeKind::kUuidLink, .dataset = dataset});
}

std::shared_ptr<const Inode> InodeTable::Trash() { return Remember("T", {.kind = InodeKind::kTrash}); }

std::shared_ptr<const Inode> InodeTable::Trashed(const DatasetId& dataset) {
  return Remember(absl::StrCat("x", dataset.str()), {.kind = InodeKind::kTrashed, .dataset = dataset});
}

std::shared_ptr<const Inode> InodeTable::Info() { return Remember("i", {.kind = InodeKind::kInfo}); }

std::shared_ptr<const Inode> InodeTable::Info(InfoFile file, uint64_t from) {
  return Remember(absl::StrCat("I", static_cast<int>(file), ".", from),
                  {.kind = InodeKind::kInfoFile, .file = file, .from = from});
}

std::shared_ptr<const Inode> InodeTable::Dataset(const DatasetId& dataset, const Place& place) {
  return Remember(DatasetKey(dataset, place), {.kind = InodeKind::kDataset, .dataset = dataset});
}

std::shared_ptr<const Inode> InodeTable::File(const DatasetId& dataset, uint32_t serial, FileHandle handle) {
  std::string key = absl::StrCat("f", serial, ".", handle.type, ".", handle.bytes);
  return Remember(std::move(key),
                  {.kind = InodeKind::kFile, .dataset = dataset, .serial = serial, .handle = std::move(handle)});
}

void InodeTable::Moved(const DatasetId& dataset, const Place& from, const Place& to) {
  MutexLock lock(mutex_);
  const auto found = ids_.find(DatasetKey(dataset, from));
  if (found == ids_.end()) return;
  const uint64_t id = found->second;
  ids_.erase(found);
  entries_[id].key = DatasetKey(dataset, to);
  ids_[entries_[id].key] = id;
}

void InodeTable::Forget(uint64_t id, uint64_t lookups) {
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

size_t InodeTable::size() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

}  // namespace flocker
