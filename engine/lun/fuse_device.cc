#include "engine/lun/fuse_device.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/lun/arena.h"

namespace flocker::lun {

absl::StatusOr<FuseDevice> FuseDevice::Open() {
  unique_fd fd(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoStatus(errno, "cannot open /dev/fuse (is the module fuse loaded?)");
  return FuseDevice(std::move(fd));
}

absl::StatusOr<FuseDevice> FuseDevice::Adopt(unique_fd fd, const std::string& path) {
  // fuse_dev_poll: an error before the mount and after its end, nothing else.
  pollfd ready{fd.get(), POLLIN, 0};
  if (poll(&ready, 1, 0) < 0) return ErrnoStatus(errno, "cannot poll /dev/fuse");
  if ((ready.revents & (POLLERR | POLLNVAL)) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("the file that was mounted over ", path, " is gone"));
  }
  FuseDevice device(std::move(fd));
  device.path_ = path;
  return device;
}

absl::Status FuseDevice::Mount(const std::string& path, const std::string& source) {
  const std::string options =
      absl::StrCat("fd=", fd_.get(), ",rootmode=100600,user_id=0,group_id=0,max_read=", kMaxTransfer);
  if (mount(source.c_str(), path.c_str(), "fuse.flocker-lun", MS_NOSUID | MS_NODEV | MS_NOATIME, options.c_str()) !=
      0) {
    return ErrnoStatus(errno, absl::StrCat("cannot mount the LUN's file over ", path));
  }
  path_ = path;
  return absl::OkStatus();
}

absl::Status FuseDevice::Unmount(bool lazy) {
  if (!mounted()) return absl::OkStatus();
  // EINVAL: nothing is mounted there any more, the agent detached it before.
  if (umount2(path_.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) != 0 && errno != EINVAL) {
    return ErrnoStatus(errno, absl::StrCat("cannot unmount ", path_));
  }
  path_.clear();
  return absl::OkStatus();
}

absl::StatusOr<size_t> FuseDevice::Receive(std::span<std::byte> room) {
  while (true) {
    const ssize_t got = read(fd_.get(), room.data(), room.size());
    if (got >= 0) return static_cast<size_t>(got);
    switch (errno) {
      case EINTR:
      case ENOENT:  // its caller was interrupted before it was handed out (fuse(4))
        continue;
      case EAGAIN:
        return 0;
      case ENODEV:
        path_.clear();
        return absl::FailedPreconditionError("the file was unmounted");
      default:
        return ErrnoStatus(errno, "cannot read from /dev/fuse");
    }
  }
}

absl::Status FuseDevice::AskAgain() {
  constexpr int kNotifyResend = 7;  // enum fuse_notify_code: in linux/fuse.h since 6.9
  fuse_out_header header{};
  header.len = sizeof header;
  header.error = kNotifyResend;
  while (write(fd_.get(), &header, sizeof header) < 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL)
      return absl::FailedPreconditionError("the kernel (before 6.9) does not hand requests out again");
    return ErrnoStatus(errno, "cannot ask the kernel for its requests again");
  }
  return absl::OkStatus();
}

absl::Status FuseDevice::Reply(uint64_t unique, int error, std::span<const std::byte> data) {
  fuse_out_header header{};
  header.len = static_cast<uint32_t>(sizeof header + data.size());
  header.error = -error;
  header.unique = unique;
  const std::array<iovec, 2> parts = {{{&header, sizeof header}, {const_cast<std::byte*>(data.data()), data.size()}}};
  while (writev(fd_.get(), parts.data(), data.empty() ? 1 : 2) < 0) {
    if (errno == EINTR) continue;
    if (errno == ENOENT || errno == ENODEV) return absl::OkStatus();  // nobody waits for it any more
    return ErrnoStatus(errno, absl::StrCat("cannot answer FUSE request ", unique));
  }
  return absl::OkStatus();
}

}  // namespace flocker::lun
