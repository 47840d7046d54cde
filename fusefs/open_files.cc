#include "fusefs/open_files.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fusefs/anchor.h"

namespace flocker {

int OpenFile::Ready() {
  if (ready_.load(std::memory_order_acquire)) return 0;
  MutexLock lock(mutex);
  if (!again_) return failed_;
  const int error = OpenAgain();
  // Any other reason may be gone the next time (too many open files, no memory).
  if (error != 0 && error != ESTALE && error != EPERM && error != EACCES) return error;
  failed_ = error == 0 ? 0 : ESTALE;
  again_.reset();
  if (failed_ == 0) ready_.store(true, std::memory_order_release);
  return failed_;
}

int OpenFile::OpenAgain() {
  const Anchor anchor(*use, again_->handle);
  if (anchor.error() != 0) return anchor.error();
  const int how = again_->flags | O_NOCTTY | O_CLOEXEC;
  unique_fd opened(open(anchor.Path().c_str(), how));
  if (!opened && errno == EPERM && (how & O_ACCMODE) != O_RDONLY) {
    opened.reset(open(anchor.Path().c_str(), how | O_APPEND));  // chattr +a
    append_only = static_cast<bool>(opened);
  }
  if (!opened) return errno;
  if ((how & O_DIRECTORY) == 0) {
    fd = std::move(opened);
    return 0;
  }
  directory.reset(fdopendir(opened.get()));
  if (directory == nullptr) return errno;
  opened.release();  // the stream's now
  return 0;
}

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

OpenFiles::OpenFiles(SavedState& state) : handles_(state.handles()), next_(state.first_id() + 1) {
  MutexLock lock(mutex_);
  for (SavedHandle* saved : handles_.All()) left_[saved->key] = saved;
}

uint64_t OpenFiles::Add(std::shared_ptr<OpenFile> file, const HowOpened& how, uint64_t request) {
  SavedHandle saved{};
  SaveId(file->use->dataset().str(), saved.dataset);
  saved.serial = file->use->serial();
  saved.flags = how.flags;
  saved.request = request;
  const bool fits = SaveHandle(how.handle, &saved.handle);
  MutexLock lock(mutex_);
  saved.key = next_++;
  files_[saved.key] = {std::move(file), fits ? handles_.Add(saved) : nullptr};
  return saved.key;
}

OpenFiles::Left OpenFiles::Describe(const SavedHandle& saved) {
  return {saved.key, saved.request, DatasetId::Parse(LoadId(saved.dataset)).value_or(DatasetId()), saved.serial};
}

std::vector<OpenFiles::Left> OpenFiles::AllLeft() const {
  std::vector<Left> all;
  MutexLock lock(mutex_);
  all.reserve(left_.size());
  for (const auto& [handle, saved] : left_) all.push_back(Describe(*saved));
  return all;
}

std::optional<OpenFiles::Left> OpenFiles::FindLeft(uint64_t handle) const {
  MutexLock lock(mutex_);
  const auto found = left_.find(handle);
  return found == left_.end() ? std::nullopt : std::optional(Describe(*found->second));
}

std::shared_ptr<OpenFile> OpenFiles::TakeUp(uint64_t handle, LocalMount::Use use) {
  MutexLock lock(mutex_);
  if (const auto known = files_.find(handle); known != files_.end()) return known->second.file;  // by somebody else
  const auto found = left_.find(handle);
  if (found == left_.end()) return nullptr;
  SavedHandle* const saved = found->second;
  left_.erase(found);
  if ((saved->flags & O_DIRECTORY) != 0) use.StopHolding();
  auto file = std::make_shared<OpenFile>(std::move(use), HowOpened{LoadHandle(saved->handle), saved->flags});
  files_[handle] = {file, saved};
  return file;
}

void OpenFiles::LetGo(uint64_t handle) {
  MutexLock lock(mutex_);
  const auto found = left_.find(handle);
  if (found == left_.end()) return;
  handles_.Remove(found->second);
  left_.erase(found);
}

std::shared_ptr<OpenFile> OpenFiles::Find(uint64_t handle) const {
  MutexLock lock(mutex_);
  const auto found = files_.find(handle);
  return found == files_.end() ? nullptr : found->second.file;
}

std::shared_ptr<OpenFile> OpenFiles::Taken(Entry& entry) {
  if (entry.saved != nullptr) handles_.Remove(entry.saved);
  return std::move(entry.file);
}

std::shared_ptr<OpenFile> OpenFiles::Remove(uint64_t handle) {
  MutexLock lock(mutex_);
  if (const auto left = left_.find(handle); left != left_.end()) {
    handles_.Remove(left->second);
    left_.erase(left);
  }
  const auto found = files_.find(handle);
  if (found == files_.end()) return nullptr;
  std::shared_ptr<OpenFile> file = Taken(found->second);
  files_.erase(found);
  return file;
}

std::vector<std::shared_ptr<OpenFile>> OpenFiles::RemoveAll() {
  std::vector<std::shared_ptr<OpenFile>> removed;
  MutexLock lock(mutex_);
  for (auto& [handle, entry] : files_) removed.push_back(Taken(entry));
  files_.clear();
  return removed;
}

std::vector<std::shared_ptr<OpenFile>> OpenFiles::RemoveAll(const LocalMount& attachment) {
  std::vector<std::shared_ptr<OpenFile>> removed;
  MutexLock lock(mutex_);
  absl::erase_if(files_, [&](auto& file) NO_THREAD_SAFETY_ANALYSIS {
    if (&*file.second.file->use != &attachment) return false;
    removed.push_back(Taken(file.second));
    return true;
  });
  return removed;
}

size_t OpenFiles::size() const {
  MutexLock lock(mutex_);
  return files_.size();
}

}  // namespace flocker
