#include "tests/harness/frozen_pool.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"

namespace flocker::testing {
namespace {

void Must(const std::vector<std::string>& argv) {
  const auto done = RunChecked(argv, absl::Seconds(20));
  if (done.ok()) return;
  std::fprintf(stderr, "%s\n", done.status().ToString().c_str());
  std::abort();
}

}  // namespace

FrozenPool::FrozenPool() : path_(scratch_ / "mnt") {
  if (!MakeDirectories(path_).ok()) std::abort();
  Must({"truncate", "-s", "256M", scratch_ / "disk"});
  Must({"mkfs.ext4", "-q", scratch_ / "disk"});
  Must({"mount", "-o", "loop", scratch_ / "disk", path_});
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  const unique_fd reader(ends[0]);
  lifeline_.reset(ends[1]);
  auto child =
      SpawnChild({.argv = {"sh", "-c", "cat <&3 >/dev/null; fsfreeze -u \"$0\" 2>/dev/null; umount -l \"$0\"", path_},
                  .keep = {{reader.get(), 3}},
                  .new_session = true});
  if (!child.ok()) std::abort();
  watchdog_ = *std::move(child);
}

FrozenPool::~FrozenPool() {
  lifeline_.reset();
  if (!WaitEnd(watchdog_.pidfd, absl::Seconds(20))) std::fprintf(stderr, "%s is not unmounted\n", path_.c_str());
}

void FrozenPool::Freeze() {
  const unique_fd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (ioctl(fd.get(), FIFREEZE, 0) != 0) std::abort();
}

void FrozenPool::Thaw() {
  const unique_fd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (ioctl(fd.get(), FITHAW, 0) != 0 && errno != EINVAL) std::abort();  // EINVAL: it is not frozen
}

}  // namespace flocker::testing
