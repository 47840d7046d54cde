// Doing the work of a request as its caller (DESIGN §6): permission checks, ownership of what is created, the setgid
// and setuid rules are then ext4's own, not a copy of ours.
#pragma once

#include "absl/status/status.h"
#include "fusefs/request.h"

namespace flocker {

// Gives the calling thread a umask of its own, and no groups. Once per worker thread, before any ActAs.
absl::Status PrepareThread();

// The calling thread's filesystem identity (fsuid, fsgid, supplementary groups, umask) is the caller's while this
// lives, and root's afterwards. A thread that is somebody else has none of the capabilities that let root pass
// permission checks (capabilities(7), "Effect of user ID changes"). The identity is the thread's, not the process's.
class ActAs {
 public:
  enum class Groups {
    kCallers,  // needed wherever a permission is checked; costs reading a file of /proc
    kNone,     // enough for most writes through an open file: see ForWriting
  };
  explicit ActAs(const Request& request, Groups groups = Groups::kCallers);
  // To write into that open file: a setgid bit without the group's execute bit stays if the caller is in the file's
  // group (setattr_should_drop_sgid of Linux 6.2 and later), and nothing else depends on groups.
  static ActAs ForWriting(const Request& request, int file);
  ~ActAs();
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;

  // 0, or EPERM when the kernel refused the identity: then nothing may be done.
  int error() const { return error_; }

 private:
  bool other_ = false;       // than the thread's own, root
  bool has_groups_ = false;  // which are to be taken away again
  int error_ = 0;
};

}  // namespace flocker
