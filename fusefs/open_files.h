// What the kernel's file handles (fuse_file_info::fh) stand for, inside datasets.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "fusefs/local_mount.h"

namespace flocker {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// One open file or directory. Closing it may block (the last close of a deleted file truncates it), so the last
// reference ends on a worker thread.
struct OpenFile {
  OpenFile(LocalMount::Use attachment_use, unique_fd file) : use(std::move(attachment_use)), fd(std::move(file)) {}

  LocalMount::Use use;  // before what it keeps open, so that it ends after that is closed
  unique_fd fd;         // of a file; -1 for a directory, whose stream owns it

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
};

// Handles are numbers, counted up: one of an attachment that was let go finds nothing, and never another's file.
class OpenFiles {
 public:
  uint64_t Add(std::shared_ptr<OpenFile> file);
  std::shared_ptr<OpenFile> Find(uint64_t handle) const;  // null for none
  std::shared_ptr<OpenFile> Remove(uint64_t handle);
  std::vector<std::shared_ptr<OpenFile>> RemoveAll();
  // All that is open in the attachment.
  std::vector<std::shared_ptr<OpenFile>> RemoveAll(const LocalMount& attachment);
  size_t size() const;

 private:
  mutable Mutex mutex_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<OpenFile>> files_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
};

}  // namespace flocker
