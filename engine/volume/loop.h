// Loop devices with direct I/O over a LUN's file: attach, find again, grow, detach (loop(4), linux/loop.h).
//
// Nothing here but AttachLoop and GrowLoop ever touches the backing file: everything else is read from sysfs, so a LUN
// server that hangs or died cannot hang its caller. What may wait for the server is done in a child
// (engine/base/apart.h), so that a caller that is killed ends at once and with it, if it was the last to serve it, the
// FUSE connection.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flocker {

// One attachment of a loop device, not just a device: its number is reused, its sequence never is.
struct LoopDevice {
  int number = -1;
  dev_t device = 0;          // st_rdev of path(); st_dev of files of a filesystem on it
  uint64_t sequence = 0;     // the kernel's diskseq: grows with every attach and detach of any disk (Linux 5.15)
  std::string backing_file;  // as the kernel shows it
  bool autoclear = false;    // it detaches when its last holder closes it

  std::string path() const;  // /dev/loop<number>
  bool operator==(const LoopDevice&) const = default;
};

// What a loop device did since it was attached (Linux Documentation/admin-guide/iostats.rst).
struct LoopIo {
  struct Direction {
    uint64_t requests = 0;
    uint64_t bytes = 0;
    absl::Duration time;  // of all requests together
  };
  Direction read;
  Direction write;
  Direction discard;
  uint64_t in_flight = 0;
};

// Attaches a free loop device to `backing_file` with direct I/O and that logical block size (bytes, the LUN's own).
// Blocks as long as opening the file does. An error when direct I/O did not come on: data would be cached twice and
// writeback would depend on memory that the LUN server may have to free. Also an error when this very path is attached
// already (kExists): find it with FindLoop instead. Unavailable while another attach of it is under way, be it of a
// process that was killed.
absl::StatusOr<LoopDevice> AttachLoop(const std::string& backing_file, uint32_t block_size);

// The loop device over `backing_file` (an absolute path without symlinks, as the kernel shows it), if there is one.
// Reads sysfs alone, never the device or the file.
absl::StatusOr<std::optional<LoopDevice>> FindLoop(const std::string& backing_file);

// Every loop device that is attached to a file, also strangers'. Reads sysfs alone.
absl::StatusOr<std::vector<LoopDevice>> ListLoops();

// Whether this attachment, not a later one of the same number, still exists. Reads sysfs alone.
bool IsAttached(const LoopDevice& loop);

// Detaches it and waits until it is gone, at most `timeout`. Idempotent. Refuses with kBusy when somebody still has the
// device open or mounted after that time: it then detaches by itself at the last close (IsAttached tells when).
// With a zero timeout it only asks.
absl::Status DetachLoop(const LoopDevice& loop, absl::Duration timeout);

// Detaches whatever is over `backing_file`, like DetachLoop. An attach of a killed process that is still under way is
// waited for, some seconds at most: what it leaves is found then, and could not be once the file's mount is gone.
absl::Status DetachLoopOver(const std::string& backing_file, absl::Duration timeout);

// Its size in bytes, as the kernel has it. Reads sysfs alone.
absl::StatusOr<uint64_t> SizeOf(const LoopDevice& loop);

// Reads sysfs alone. NotFound when this attachment is gone.
absl::StatusOr<LoopIo> IoOf(const LoopDevice& loop);

// Takes over the backing file's new size; asks the file for it, so it blocks as long as the LUN server does.
absl::Status GrowLoop(const LoopDevice& loop);

// Detaches when it is destroyed, unless released: for the steps between attaching and a mount that will outlive us.
class ScopedLoop {
 public:
  explicit ScopedLoop(LoopDevice loop) : loop_(std::move(loop)) {}
  ScopedLoop(ScopedLoop&& other) noexcept : loop_(std::exchange(other.loop_, std::nullopt)) {}
  ScopedLoop& operator=(ScopedLoop&&) = delete;
  ScopedLoop(const ScopedLoop&) = delete;
  ScopedLoop& operator=(const ScopedLoop&) = delete;
  ~ScopedLoop();

  const LoopDevice& get() const { return *loop_; }
  const LoopDevice* operator->() const { return &*loop_; }
  LoopDevice Release() { return *std::exchange(loop_, std::nullopt); }

 private:
  std::optional<LoopDevice> loop_;
};

}  // namespace flocker
