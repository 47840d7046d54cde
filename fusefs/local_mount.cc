#include "fusefs/local_mount.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/catalog/inode_numbers.h"

namespace flocker {
namespace {

// More would only queue in ext4 and the LUN server; fewer would make small requests wait behind slow ones.
constexpr size_t kMaxThreads = 16;
constexpr absl::Duration kIdle = absl::Seconds(10);

}  // namespace

LocalMount::LocalMount(OpenOnly, const DatasetId& dataset, uint32_t serial, uint64_t mount_epoch, unique_fd mount,
                       const struct stat& root, WorkerThreads& threads)
    : dataset_(dataset),
      serial_(serial),
      mount_epoch_(mount_epoch),
      root_(root),
      mount_(std::move(mount)),
      workers_(threads, kMaxThreads, kIdle) {}

absl::StatusOr<std::shared_ptr<LocalMount>> LocalMount::Open(const DatasetId& dataset, uint32_t serial,
                                                             uint64_t mount_epoch, const std::string& path,
                                                             WorkerThreads& threads) {
  unique_fd mount(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!mount) return ErrnoStatus(errno, absl::StrCat("open the mount ", path));
  struct statx shown {};
  // DONT_SYNC: attributes from memory will do, and nothing here may wait.
  if (statx(mount.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &shown) != 0) {
    return ErrnoStatus(errno, absl::StrCat("stat the mount ", path));
  }
  struct stat attributes {};
  if (fstat(mount.get(), &attributes) != 0) return ErrnoStatus(errno, absl::StrCat("stat the mount ", path));
  if ((shown.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not a mount; the catalogue will say what became of it"));
  }
  return std::make_shared<LocalMount>(OpenOnly(), dataset, serial, mount_epoch, std::move(mount), attributes, threads);
}

std::optional<LocalMount::Use> LocalMount::Enter() {
  MutexLock lock(mutex_);
  if (retired_) return std::nullopt;
  ++uses_;
  ++holds_;
  return Use(shared_from_this());
}

std::optional<LocalMount::Use> LocalMount::Join() {
  MutexLock lock(mutex_);
  if (retired_ || holds_ == 0) return std::nullopt;
  ++uses_;
  ++holds_;
  return Use(shared_from_this());
}

uint32_t LocalMount::holds() const {
  MutexLock lock(mutex_);
  return holds_;
}

void LocalMount::Leave(bool held) {
  std::vector<Callback> run;
  {
    MutexLock lock(mutex_);
    if (held) --holds_;
    if (holds_ == 0) run.swap(when_idle_);
    if (--uses_ == 0 && retired_) {
      mount_.reset();
      for (Callback& closed : when_closed_) run.push_back(std::move(closed));
      when_closed_.clear();
    }
  }
  for (Callback& callback : run) callback();
}

void LocalMount::Unhold() {
  std::vector<Callback> run;
  {
    MutexLock lock(mutex_);
    if (--holds_ == 0) run.swap(when_idle_);
  }
  for (Callback& callback : run) callback();
}

void LocalMount::WhenIdle(Callback idle) {
  {
    MutexLock lock(mutex_);
    if (holds_ > 0) {
      when_idle_.push_back(std::move(idle));
      return;
    }
  }
  idle();
}

void LocalMount::Retire(Callback closed) {
  {
    MutexLock lock(mutex_);
    retired_ = true;
    if (uses_ > 0) {
      when_closed_.push_back(std::move(closed));
      return;
    }
    mount_.reset();
  }
  closed();
}

struct stat LocalMount::Shown(struct stat attributes) const {
  attributes.st_ino = FileInode(serial_, attributes.st_ino);
  return attributes;
}

}  // namespace flocker
