// What the kernel has open of the tree itself, by its handles: in memory alone.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/base/mutex.h"
#include "fusefs/request.h"

namespace flocker {

// Threads may share it; nothing blocks.
template <class T>
class Handles {
 public:
  // They are counted up from `first`.
  explicit Handles(uint64_t first) : next_(first) {}

  // The answer to an open: a new handle that stands for `opened`.
  void Open(Request request, T opened, fuse_file_info info = {}) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      info.fh = next_++;
      opened_.emplace(info.fh, std::move(opened));
    }
    if (request.Opened(info)) return;
    MutexLock lock(mutex_);
    opened_.erase(info.fh);
  }
  // The answer to a release.
  void Release(Request request, uint64_t handle) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      opened_.erase(handle);
    }
    request.Error(0);
  }
  // What a handle of a predecessor's stands for from now on.
  void Set(uint64_t handle, T opened) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    opened_.insert_or_assign(handle, std::move(opened));
  }

  // Runs `use(T&)` with the lock held; false when the handle stands for nothing.
  template <class Use>
  bool With(uint64_t handle, Use use) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto found = opened_.find(handle);
    if (found == opened_.end()) return false;
    use(found->second);
    return true;
  }
  template <class Use>
  void ForEach(Use use) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    for (auto& [handle, opened] : opened_) use(opened);
  }

 private:
  Mutex mutex_;
  absl::flat_hash_map<uint64_t, T> opened_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_);
};

}  // namespace flocker
