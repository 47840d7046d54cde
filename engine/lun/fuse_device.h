// /dev/fuse and the mount behind it, in the raw protocol (fuse(4)): no libfuse, because requests must be received where
// they outlive us (arena.h) and answered in any order by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace flocker::lun {

class FuseDevice {
 public:
  // Opens /dev/fuse, not blocking. There is one descriptor, never a clone: closing a clone fails what was read from it.
  static absl::StatusOr<FuseDevice> Open();
  // A predecessor's descriptor, whose file is mounted over `path`. FailedPrecondition when that mount is gone.
  static absl::StatusOr<FuseDevice> Adopt(unique_fd fd, const std::string& path);

  // Mounts over the regular file `path`; its root inode is itself a regular file. `source` and the type
  // fuse.flocker-lun are what mountinfo shows.
  absl::Status Mount(const std::string& path, const std::string& source);
  // Blocks on nothing. `lazy` detaches a file that is in use, else that is an EBUSY. A mount that is gone already is
  // fine.
  absl::Status Unmount(bool lazy);
  bool mounted() const { return !path_.empty(); }

  // Reads one request into `room`; its length, or 0 when there is none now. FailedPrecondition when the mount is gone.
  absl::StatusOr<size_t> Receive(std::span<std::byte> room);

  // The kernel hands out again, in no order, whatever was received and not answered; such a request has bit 63 set in
  // its `unique`, which its reply must have too (FUSE_NOTIFY_RESEND, Linux 6.9). FailedPrecondition on an older kernel.
  absl::Status AskAgain();

  // Answers the request `unique` with `error` (errno, 0: success) and `data`. A request that the
  // kernel has forgotten in the meantime (aborted, or answered by a predecessor) is no error.
  absl::Status Reply(uint64_t unique, int error, std::span<const std::byte> data);

  int fd() const { return fd_.get(); }

 private:
  explicit FuseDevice(unique_fd fd) : fd_(std::move(fd)) {}

  unique_fd fd_;
  std::string path_;  // where it is mounted; empty: nowhere
};

}  // namespace flocker::lun
