// What the kernel's node ids (fuse_ino_t) stand for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "engine/base/mutex.h"
#include "engine/model/ids.h"
#include "fusefs/saved_state.h"

namespace flocker {

// Their numbers are saved for a successor.
enum class InodeKind {
  kTree,           // the mount's root
  kNodeDirectory,  // /flocker/<node>
  kSelf,           // /flocker/self
  kUuidLink,       // /flocker/<uuid>
  kTrash,          // /flocker/.trash
  kTrashed,        // /flocker/.trash/<name>@<uuid8>: shown as an empty directory
  kDataset,        // /flocker/<node>/<name>, attached or not
  kFile,           // anything below a dataset, of one attachment
  kInfo,           // /flocker/.flocker
  kInfoFile,       // /flocker/.flocker/<file>
};

// The files of /flocker/.flocker.
enum class InfoFile { kStatus, kEvents, kVersion, kMetrics };

// Names a file of one filesystem without holding it (open_by_handle_at(2)).
struct FileHandle {
  int type = 0;
  std::string bytes;
};

// False when it is too long.
bool SaveHandle(const FileHandle& handle, SavedFileHandle* saved);
FileHandle LoadHandle(const SavedFileHandle& saved);

// Never changes after it was made.
struct Inode {
  uint64_t id = 0;
  InodeKind kind = InodeKind::kTree;
  NodeId node;                        // kNodeDirectory
  DatasetId dataset;                  // kUuidLink, kTrashed, kDataset, kFile
  uint32_t serial = 0;                // kFile: of its attachment
  FileHandle handle;                  // kFile
  InfoFile file = InfoFile::kStatus;  // kInfoFile
  uint64_t from = 0;                  // kInfoFile: where in all the events it begins (EventFile)

  bool InsideDataset() const { return kind == InodeKind::kDataset || kind == InodeKind::kFile; }
};

// Where the tree shows a dataset.
struct Place {
  NodeId node;
  std::string name;
};

// Ids are counted up and never used again while the mount lives, so neither the kernel's inode nor its page cache
// of one attachment can be taken for another's. No entry holds a descriptor. A file with several names has one id.
//
// Everything is saved before the kernel hears of it, so a successor knows every id that the kernel knows. It may count
// more lookups than the kernel: then the entry is never forgotten.
class InodeTable {
 public:
  static constexpr uint64_t kTreeId = 1;  // FUSE_ROOT_ID

  // With what a predecessor has saved.
  explicit InodeTable(SavedState& state);

  // Null for an id that was forgotten or never given.
  std::shared_ptr<const Inode> Find(uint64_t id) const;

  // Each of these counts as one lookup by the kernel, to be given back by Forget: the reply that carries the id must
  // reach the kernel, or Forget(id, 1) be called.
  std::shared_ptr<const Inode> NodeDirectory(const NodeId& node);
  std::shared_ptr<const Inode> Self();
  std::shared_ptr<const Inode> UuidLink(const DatasetId& dataset);
  std::shared_ptr<const Inode> Trash();
  std::shared_ptr<const Inode> Trashed(const DatasetId& dataset);
  std::shared_ptr<const Inode> Info();
  std::shared_ptr<const Inode> Info(InfoFile file, uint64_t from);
  // The same id as long as the dataset stays at this place or this kernel moves it. Anybody else's move gives it a new
  // one: the kernel allows a directory one name only, and would have to move its own under locks it may not get.
  std::shared_ptr<const Inode> Dataset(const DatasetId& dataset, const Place& place);
  std::shared_ptr<const Inode> File(const DatasetId& dataset, uint32_t serial, FileHandle handle);

  // The kernel itself renamed a dataset's directory; the id stays.
  void Moved(const DatasetId& dataset, const Place& from, const Place& to);

  void Forget(uint64_t id, uint64_t lookups);
  size_t size() const;

 private:
  struct Entry {
    std::shared_ptr<const Inode> node;
    std::string key;
    uint64_t lookups = 0;
    SavedNode* saved = nullptr;   // null: there was no room, or its handle is too long
    SavedPlace* place = nullptr;  // a dataset's
  };
  // `place` is a dataset's.
  std::shared_ptr<const Inode> Remember(Inode node, const Place& place);
  void SetLookups(Entry& entry, uint64_t lookups) REQUIRES(mutex_);
  void Save(Entry& entry, const Place& place) REQUIRES(mutex_);
  SavedPlace* SavePlace(uint64_t id, const Place& place) REQUIRES(mutex_);
  void Inherit() REQUIRES(mutex_);

  mutable Mutex mutex_;
  SavedArray<SavedNode>& nodes_ GUARDED_BY(mutex_);
  SavedArray<SavedPlace>& places_ GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Entry> entries_ GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint64_t> ids_ GUARDED_BY(mutex_);  // what it is -> its id
  uint64_t next_ GUARDED_BY(mutex_);
  uint64_t next_sequence_ GUARDED_BY(mutex_) = 1;
};

}  // namespace flocker
