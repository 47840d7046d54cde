#include "tests/bench/loop_ext4.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cstdio>
#include <cstring>

#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"

namespace flocker::bench {

namespace {

absl::Status SetDirect(const std::string& device, bool direct_io) {
  const unique_fd fd(open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd || ioctl(fd.get(), LOOP_SET_DIRECT_IO, direct_io ? 1UL : 0UL) != 0) {
    return ErrnoStatus(errno, "cannot set direct I/O of " + device);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LoopExt4> LoopExt4::Make(const std::string& file, const std::string& path, Content content,
                                        bool direct_io) {
  RETURN_IF_ERROR(MakeDirectories(path));
  ASSIGN_OR_RETURN(LoopDevice device, AttachLoop(file, 512));
  ScopedLoop loop(std::move(device));
  RETURN_IF_ERROR(SetDirect(loop->path(), direct_io));
  if (content == Content::kNew) {
    // As engine/volume/format.cc makes a dataset's.
    RETURN_IF_ERROR(RunChecked({"mkfs.ext4", "-F", "-q", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-E",
                                "lazy_itable_init=1,lazy_journal_init=1,nodiscard", loop->path()},
                               absl::Seconds(60))
                        .status());
  }
  if (mount(loop->path().c_str(), path.c_str(), "ext4", MS_NOSUID | MS_NODEV, "errors=remount-ro,noinit_itable") != 0) {
    return ErrnoStatus(errno, "cannot mount " + loop->path());
  }
  return LoopExt4(std::move(loop), path);
}

absl::Status LoopExt4::SetDirectIo(bool direct_io) { return SetDirect(loop_->path(), direct_io); }

LoopExt4::LoopExt4(LoopExt4&& other) noexcept
    : loop_(std::move(other.loop_)), path_(std::exchange(other.path_, std::string())) {}

LoopExt4::~LoopExt4() {
  if (!path_.empty() && umount2(path_.c_str(), UMOUNT_NOFOLLOW) != 0) {
    std::fprintf(stderr, "bench: cannot unmount %s: %s\n", path_.c_str(), std::strerror(errno));
  }
}

}  // namespace flocker::bench
