// What the kernel's file handles (fuse_file_info::fh) stand for, inside datasets.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "fusefs/inode_table.h"
#include "fusefs/local_mount.h"
#include "fusefs/saved_state.h"

namespace flocker {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// How to open a file once more. Whoever opened it may use it until it is closed, so this is done as root; and without
// O_CREAT, O_EXCL and O_TRUNC, which happened once. O_APPEND comes with every write.
struct HowOpened {
  FileHandle handle;  // empty: the dataset's root
  int flags = 0;      // with O_DIRECTORY for a directory
};

// One open file or directory. Closing it may block (the last close of a deleted file truncates it), so the last
// reference ends on a worker thread.
struct OpenFile {
  OpenFile(LocalMount::Use attachment_use, unique_fd file) : use(std::move(attachment_use)), fd(std::move(file)) {}
  // Of a predecessor: Ready opens it.
  OpenFile(LocalMount::Use attachment_use, HowOpened how)
      : use(std::move(attachment_use)), again_(std::move(how)), ready_(false) {}

  // 0 when it is open, which all but the functions below require; else why a predecessor's file cannot be opened again:
  // ESTALE when it was deleted.
  int Ready() EXCLUDES(mutex);

  LocalMount::Use use;  // before what it keeps open, so that it ends after that is closed
  unique_fd fd;         // of a file; -1 for a directory, whose stream owns it; constant once it is Ready

  // The file opened once more with O_DIRECT, which is a property of the opening: by the first request that asks for it.
  // -1 and errno when it cannot be. As root.
  int Direct() EXCLUDES(mutex);
  int Descriptor() EXCLUDES(mutex);  // of the file or the directory

  // A file that may only be appended to (chattr +a).
  bool append_only = false;

  Mutex mutex;
  unique_fd direct GUARDED_BY(mutex);
  std::unique_ptr<DIR, CloseDirectory> directory GUARDED_BY(mutex);
  off_t position GUARDED_BY(mutex) = 0;  // of `directory`: the offset of what `pending` is, else of what comes
  const dirent* pending GUARDED_BY(mutex) = nullptr;  // read, but it did not fit into the last reply

 private:
  int OpenAgain() REQUIRES(mutex);

  std::optional<HowOpened> again_ GUARDED_BY(mutex);
  int failed_ GUARDED_BY(mutex) = 0;
  std::atomic<bool> ready_{true};
};

// Handles are numbers, counted up: one of an attachment that was let go finds nothing, and never another's file. They
// are saved before the kernel hears of them.
class OpenFiles {
 public:
  explicit OpenFiles(SavedState& state);

  // `request`: the `unique` of the one that opens it, 0 for none.
  uint64_t Add(std::shared_ptr<OpenFile> file, const HowOpened& how, uint64_t request);

  // What a predecessor had open and nobody has taken up, let go or closed yet: it is found by nothing else.
  struct Left {
    uint64_t handle = 0;
    uint64_t request = 0;  // as in Add
    DatasetId dataset;
    uint32_t serial = 0;
  };
  std::vector<Left> AllLeft() const;
  std::optional<Left> FindLeft(uint64_t handle) const;
  // Knows the handle as a file in that attachment, which must be the one that is left; null when it was closed.
  std::shared_ptr<OpenFile> TakeUp(uint64_t handle, LocalMount::Use use);
  // The kernel never heard of that handle.
  void LetGo(uint64_t handle);

  std::shared_ptr<OpenFile> Find(uint64_t handle) const;  // null for none
  std::shared_ptr<OpenFile> Remove(uint64_t handle);
  std::vector<std::shared_ptr<OpenFile>> RemoveAll();
  // All that is open in the attachment.
  std::vector<std::shared_ptr<OpenFile>> RemoveAll(const LocalMount& attachment);
  size_t size() const;

 private:
  struct Entry {
    std::shared_ptr<OpenFile> file;
    SavedHandle* saved = nullptr;  // null: there was no room, or its handle is too long
  };
  std::shared_ptr<OpenFile> Taken(Entry& entry) REQUIRES(mutex_);
  static Left Describe(const SavedHandle& saved);

  mutable Mutex mutex_;
  SavedArray<SavedHandle>& handles_ GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Entry> files_ GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, SavedHandle*> left_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_);
};

}  // namespace flocker
