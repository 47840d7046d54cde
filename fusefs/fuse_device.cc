#include "fusefs/fuse_device.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fusefs/interrupt.h"

namespace flocker {
namespace {

constexpr uint32_t kTrueOfUs = FUSE_HANDLE_KILLPRIV_V2 | FUSE_PARALLEL_DIROPS;

// What of that may be added to the reply that this thread writes next; 0 but for the INIT's.
thread_local uint32_t adds_to_reply = 0;

ssize_t WriteReply(int fd, iovec* reply, int count, void* owner) {
  // libfuse gathers a fuse_out_header and a fuse_init_out; an error has the header only.
  if (adds_to_reply != 0 && count == 2 && reply[1].iov_len >= offsetof(fuse_init_out, flags) + sizeof(uint32_t)) {
    static_cast<fuse_init_out*>(reply[1].iov_base)->flags |= adds_to_reply;
  }
  return static_cast<SessionOwner*>(owner)->in_flight().Answer(fd, reply, count);
}

// libfuse wants one. The session reads by itself.
ssize_t ReadRequest(int fd, void* buffer, size_t size, void*) { return read(fd, buffer, size); }

// A flocker-fs that was killed leaves a mount that answers ENOTCONN.
absl::Status ClearDeadMount(const std::string& mountpoint) {
  struct stat attributes {};
  if (stat(mountpoint.c_str(), &attributes) == 0 || errno != ENOTCONN) return absl::OkStatus();
  spdlog::warn("unmounting what a dead flocker-fs left at {}", mountpoint);
  if (umount2(mountpoint.c_str(), MNT_DETACH) != 0) {
    return ErrnoStatus(errno, absl::StrCat("unmount the dead tree at ", mountpoint));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<unique_fd> OpenFuse() {
  unique_fd device(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!device) return ErrnoStatus(errno, "open /dev/fuse (is the module fuse loaded?)");
  return device;
}

absl::Status MountFuse(const unique_fd& device, const std::string& mountpoint) {
  RETURN_IF_ERROR(ClearDeadMount(mountpoint));
  // No default_permissions: the daemon decides for the tree, ext4 for what is inside.
  const std::string options = absl::StrCat("fd=", device.get(), ",rootmode=40000,user_id=0,group_id=0,allow_other");
  if (mount("flocker", mountpoint.c_str(), "fuse.flocker", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("mount the tree at ", mountpoint, ", which must be a directory"));
  }
  return absl::OkStatus();
}

const fuse_custom_io& DeviceIo() {
  static const fuse_custom_io io = [] {
    fuse_custom_io calls{};
    calls.writev = WriteReply;
    calls.read = ReadRequest;
    return calls;
  }();
  return io;
}

InitWatch::InitWatch(const fuse_buf& received) {
  if (received.size < sizeof(fuse_in_header) + sizeof(fuse_init_in)) return;
  const auto* header = static_cast<const fuse_in_header*>(received.mem);
  if (header->opcode != FUSE_INIT) return;
  fuse_init_in init{};
  std::memcpy(&init, header + 1, offsetof(fuse_init_in, flags) + sizeof init.flags);
  adds_to_reply = init.flags & kTrueOfUs;
}

InitWatch::~InitWatch() { adds_to_reply = 0; }

}  // namespace flocker
