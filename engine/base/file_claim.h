// One process of this machine at a time uses a file, and only the one that it is granted to: what an array's login and
// session are, for a file of one's own.
//
//   <file>.grant   the door: "open" or "closed", and whose it is. Replaced as a whole, so it is never half of anything
//   POSIX lock     the claim: on the file's first byte; the kernel drops it with the last thread of its process, so
//                  after everything that process still had under way in the file (fcntl(2))
//
//   user:   lock -> watch the door -> is it open for me? -> use the file; when the door changes, let go
//   owner:  close the door -> wait until nobody has the lock: nobody has the file, and nobody gets it any more
//
// Who looks at the door does so with the lock in hand: either it sees that the door is closed, or the owner sees its
// lock.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/unique_fd.h"

namespace flocker {

// The user's half. Lets go when it is destroyed, which must not be before its last read or write has returned. The
// lock is the process's: closing any other descriptor of the same file would drop it.
class FileClaim {
 public:
  // Kind kBusy while another process has it, PermissionDenied when the door is not open for `user`. Does not block.
  static absl::StatusOr<FileClaim> Take(const std::string& file, const std::string& user);

  int fd() const { return file_.get(); }            // for reading and writing
  int withdrawn_fd() const { return door_.get(); }  // readable when the door has changed: let go

 private:
  FileClaim(unique_fd file, unique_fd door) : file_(std::move(file)), door_(std::move(door)) {}

  unique_fd file_;
  unique_fd door_;
};

// The owner's half.
struct FileDoor {
  bool open = false;
  std::string user;
  bool operator==(const FileDoor&) const = default;
};
absl::StatusOr<std::optional<FileDoor>> DoorOf(const std::string& file);  // none: as good as closed
absl::Status SetDoor(const std::string& file, const FileDoor& door);      // durable
absl::Status RemoveDoor(const std::string& file);                         // OK when there is none

// Who has the file just now; 0 is somebody whom this process cannot see. None, too, when there is no such file.
absl::StatusOr<std::optional<pid_t>> ClaimantOf(const std::string& file);

// Waits until nobody has the file. A `program` that does not let go within `patience` is killed; whoever else has it is
// left alone. DeadlineExceeded, saying who, when `timeout` passed first: it may be stuck in the kernel.
absl::Status WaitUnclaimed(const std::string& file, const std::string& program, absl::Duration patience,
                           absl::Duration timeout);

}  // namespace flocker
