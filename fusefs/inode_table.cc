#include "fusefs/inode_table.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

// Keys never leave this file; the letter keeps the kinds apart.
std::string DatasetKey(const DatasetId& dataset, const Place& place) {
  return absl::StrCat("d", dataset.str(), place.node.str(), place.name);
}

std::string KeyOf(const Inode& node, const Place& place) {
  switch (node.kind) {
    case InodeKind::kTree:
      return "t";
    case InodeKind::kNodeDirectory:
      return absl::StrCat("n", node.node.str());
    case InodeKind::kSelf:
      return "s";
    case InodeKind::kUuidLink:
      return absl::StrCat("u", node.dataset.str());
    case InodeKind::kTrash:
      return "T";
    case InodeKind::kTrashed:
      return absl::StrCat("x", node.dataset.str());
    case InodeKind::kDataset:
      return DatasetKey(node.dataset, place);
    case InodeKind::kFile:
      return absl::StrCat("f", node.serial, ".", node.handle.type, ".", node.handle.bytes);
    case InodeKind::kInfo:
      return "i";
    case InodeKind::kInfoFile:
      return absl::StrCat("I", static_cast<int>(node.file), ".", node.from);
  }
  return "";
}

Inode LoadNode(const SavedNode& saved) {
  Inode node;
  node.id = saved.key;
  node.kind = static_cast<InodeKind>(saved.kind);
  const std::string id = LoadId(saved.id);
  if (node.kind == InodeKind::kNodeDirectory) {
    node.node = NodeId::Parse(id).value_or(NodeId());
  } else {
    node.dataset = DatasetId::Parse(id).value_or(DatasetId());
  }
  node.serial = saved.serial;
  node.handle = LoadHandle(saved.handle);
  node.file = static_cast<InfoFile>(saved.file);
  node.from = saved.from;
  return node;
}

Place LoadPlace(const SavedPlace& saved) {
  return {NodeId::Parse(LoadId(saved.node)).value_or(NodeId()),
          {saved.name, std::min<size_t>(saved.name_size, sizeof saved.name)}};
}

}  // namespace

bool SaveHandle(const FileHandle& handle, SavedFileHandle* saved) {
  if (handle.bytes.size() > SavedFileHandle::kMax) return false;
  saved->type = handle.type;
  saved->size = static_cast<uint8_t>(handle.bytes.size());
  std::memcpy(saved->bytes, handle.bytes.data(), handle.bytes.size());
  return true;
}

FileHandle LoadHandle(const SavedFileHandle& saved) {
  return {saved.type,
          {reinterpret_cast<const char*>(saved.bytes), std::min<size_t>(saved.size, SavedFileHandle::kMax)}};
}

InodeTable::InodeTable(SavedState& state)
    : nodes_(state.nodes()), places_(state.places()), next_(state.first_id() + kTreeId + 1) {
  MutexLock lock(mutex_);
  Inode tree;
  tree.id = kTreeId;
  entries_[kTreeId] = Entry{std::make_shared<const Inode>(std::move(tree)), "t", 1};
  Inherit();
}

void InodeTable::Inherit() {
  std::map<uint64_t, SavedPlace*> latest;
  for (SavedPlace* place : places_.All()) {
    next_sequence_ = std::max(next_sequence_, place->sequence + 1);
    SavedPlace*& known = latest[place->key];
    if (known != nullptr && known->sequence > place->sequence) std::swap(known, place);
    if (known != nullptr && known != place) places_.Remove(known);
    known = place;
  }
  std::map<std::string, uint64_t> sequences;  // of the dataset that a key is taken by
  for (SavedNode* saved : nodes_.All()) {
    if (saved->lookups == 0) {  // the kernel never heard of it
      nodes_.Remove(saved);
      continue;
    }
    Entry entry;
    entry.node = std::make_shared<const Inode>(LoadNode(*saved));
    entry.lookups = saved->lookups;
    entry.saved = saved;
    Place place;
    uint64_t sequence = 0;
    if (const auto found = latest.find(saved->key); found != latest.end()) {
      entry.place = found->second;
      place = LoadPlace(*entry.place);
      sequence = entry.place->sequence;
      latest.erase(found);
    }
    entry.key = KeyOf(*entry.node, place);
    // Two may have had one name, one after the other (see Moved): the name leads to the later one.
    if (const auto [taken, fresh] = sequences.try_emplace(entry.key, sequence); fresh || taken->second < sequence) {
      taken->second = sequence;
      ids_[entry.key] = saved->key;
    }
    entries_[saved->key] = std::move(entry);
  }
  for (const auto& [id, place] : latest) places_.Remove(place);  // saved for a node that never was
}

void InodeTable::Save(Entry& entry, const Place& place) {
  const Inode& node = *entry.node;
  SavedNode saved{};
  saved.key = node.id;
  saved.serial = node.serial;
  saved.kind = static_cast<uint8_t>(node.kind);
  saved.file = static_cast<uint8_t>(node.file);
  saved.from = node.from;
  SaveId(node.kind == InodeKind::kNodeDirectory ? node.node.str() : node.dataset.str(), saved.id);
  if (!SaveHandle(node.handle, &saved.handle)) return;
  if (node.kind == InodeKind::kDataset) {
    entry.place = SavePlace(node.id, place);
    if (entry.place == nullptr) return;
  }
  entry.saved = nodes_.Add(saved);
}

SavedPlace* InodeTable::SavePlace(uint64_t id, const Place& place) {
  SavedPlace saved{};
  if (place.name.size() > sizeof saved.name) return nullptr;
  saved.key = id;
  saved.sequence = next_sequence_++;
  SaveId(place.node.str(), saved.node);
  saved.name_size = static_cast<uint8_t>(place.name.size());
  std::memcpy(saved.name, place.name.data(), place.name.size());
  return places_.Add(saved);
}

std::shared_ptr<const Inode> InodeTable::Find(uint64_t id) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.node;
}

std::shared_ptr<const Inode> InodeTable::Remember(Inode node, const Place& place) {
  std::string key = KeyOf(node, place);
  MutexLock lock(mutex_);
  const auto [known, fresh] = ids_.try_emplace(key, next_);
  if (fresh) {
    node.id = next_++;
    Entry& entry = entries_[node.id];
    entry.node = std::make_shared<const Inode>(std::move(node));
    entry.key = std::move(key);
    Save(entry, place);
  }
  Entry& entry = entries_[known->second];
  SetLookups(entry, entry.lookups + 1);
  return entry.node;
}

void InodeTable::SetLookups(Entry& entry, uint64_t lookups) {
  entry.lookups = lookups;
  if (entry.saved == nullptr) return;
  std::atomic_ref<uint64_t>(entry.saved->lookups).store(lookups, std::memory_order_release);
}

std::shared_ptr<const Inode> InodeTable::NodeDirectory(const NodeId& node) {
  return Remember({.kind = InodeKind::kNodeDirectory, .node = node}, {});
}

std::shared_ptr<const Inode> InodeTable::Self() { return Remember({.kind = InodeKind::kSelf}, {}); }

std::shared_ptr<const Inode> InodeTable::UuidLink(const DatasetId& dataset) {
  return Remember({.kind = InodeKind::kUuidLink, .dataset = dataset}, {});
}

std::shared_ptr<const Inode> InodeTable::Trash() { return Remember({.kind = InodeKind::kTrash}, {}); }

std::shared_ptr<const Inode> InodeTable::Trashed(const DatasetId& dataset) {
  return Remember({.kind = InodeKind::kTrashed, .dataset = dataset}, {});
}

std::shared_ptr<const Inode> InodeTable::Info() { return Remember({.kind = InodeKind::kInfo}, {}); }

std::shared_ptr<const Inode> InodeTable::Info(InfoFile file, uint64_t from) {
  return Remember({.kind = InodeKind::kInfoFile, .file = file, .from = from}, {});
}

std::shared_ptr<const Inode> InodeTable::Dataset(const DatasetId& dataset, const Place& place) {
  return Remember({.kind = InodeKind::kDataset, .dataset = dataset}, place);
}

std::shared_ptr<const Inode> InodeTable::File(const DatasetId& dataset, uint32_t serial, FileHandle handle) {
  return Remember({.kind = InodeKind::kFile, .dataset = dataset, .serial = serial, .handle = std::move(handle)}, {});
}

void InodeTable::Moved(const DatasetId& dataset, const Place& from, const Place& to) {
  MutexLock lock(mutex_);
  const auto found = ids_.find(DatasetKey(dataset, from));
  if (found == ids_.end()) return;
  const uint64_t id = found->second;
  ids_.erase(found);
  Entry& entry = entries_[id];
  entry.key = DatasetKey(dataset, to);
  ids_[entry.key] = id;
  // The new place is saved beside the old one, which goes next: of two the later one holds.
  SavedPlace* const before = entry.place;
  entry.place = SavePlace(id, to);
  if (before != nullptr) places_.Remove(before);
}

void InodeTable::Forget(uint64_t id, uint64_t lookups) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || id == kTreeId) return;
  Entry& entry = found->second;
  if (entry.lookups > lookups) {
    SetLookups(entry, entry.lookups - lookups);
    return;
  }
  // The key may name a younger id by now (see Moved).
  const auto known = ids_.find(entry.key);
  if (known != ids_.end() && known->second == id) ids_.erase(known);
  if (entry.saved != nullptr) nodes_.Remove(entry.saved);
  if (entry.place != nullptr) places_.Remove(entry.place);
  entries_.erase(found);
}

size_t InodeTable::size() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

}  // namespace flocker
