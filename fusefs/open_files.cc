#include "fusefs/open_files.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace flocker {

int OpenFile::Direct() {
  MutexLock lock(mutex);
  if (!direct) {
    const int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0) return -1;
    const int how = (flags & (O_ACCMODE | O_NOATIME | O_APPEND)) | O_DIRECT | O_CLOEXEC;
    direct.reset(open(absl::StrCat("/proc/self/fd/", fd.get()).c_str(), how));
  }
  return direct.get();
}

int OpenFile::Descriptor() {
  if (fd) return fd.get();
  MutexLock lock(mutex);
  return directory != nullptr ? dirfd(directory.get()) : -1;
}

uint64_t OpenFiles::Add(std::shared_ptr<OpenFile> file) {
  MutexLock lock(mutex_);
  files_[next_] = std::move(file);
  return next_++;
}

std::shared_ptr<OpenFile> OpenFiles::Find(uint64_t handle) const {
  MutexLock lock(mutex_);
  const auto found = files_.find(handle);
  return found == files_.end() ? nullptr : found->second;
}

std::shared_ptr<OpenFile> OpenFiles::Remove(uint64_t handle) {
  MutexLock lock(mutex_);
  const auto found = files_.find(handle);
  if (found == files_.end()) return nullptr;
  std::shared_ptr<OpenFile> file = std::move(found->second);
  files_.erase(found);
  return file;
}

std::vector<std::shared_ptr<OpenFile>> OpenFiles::RemoveAll() {
  std::vector<std::shared_ptr<OpenFile>> removed;
  MutexLock lock(mutex_);
  for (auto& [handle, file] : files_) removed.push_back(std::move(file));
  files_.clear();
  return removed;
}

std::vector<std::shared_ptr<OpenFile>> OpenFiles::RemoveAll(const LocalMount& attachment) {
  std::vector<std::shared_ptr<OpenFile>> removed;
  MutexLock lock(mutex_);
  absl::erase_if(files_, [&](auto& entry) {
    if (&*entry.second->use != &attachment) return false;
    removed.push_back(std::move(entry.second));
    return true;
  });
  return removed;
}

size_t OpenFiles::size() const {
  MutexLock lock(mutex_);
  return files_.size();
}

}  // namespace flocker
