#include "fusefs/credentials.h"

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "engine/base/status.h"

namespace flocker {
namespace {

// glibc's setgroups changes every thread of the process; the system call only the calling one.
int SetThreadGroups(const std::vector<gid_t>& groups) {
  return static_cast<int>(syscall(SYS_setgroups, groups.size(), groups.data()));
}

// setfsuid tells no errors: an impossible id only answers the present one.
bool SetIds(uid_t uid, gid_t gid) {
  setfsgid(gid);
  setfsuid(uid);
  return setfsgid(static_cast<gid_t>(-1)) == static_cast<int>(gid) &&
         setfsuid(static_cast<uid_t>(-1)) == static_cast<int>(uid);
}

}  // namespace

absl::Status PrepareThread() {
  if (unshare(CLONE_FS) != 0) return ErrnoStatus(errno, "give a worker thread its own umask (unshare CLONE_FS)");
  if (SetThreadGroups({}) != 0 || !SetIds(0, 0)) {
    return ErrnoStatus(errno, "make a worker thread root without groups (setgroups, setfsuid)");
  }
  return absl::OkStatus();
}

ActAs::ActAs(const Request& request, Groups groups) {
  const fuse_ctx& caller = request.caller();
  umask(caller.umask);
  other_ = caller.uid != 0 || caller.gid != 0;
  if (!other_) return;
  // Root passes every check that groups could decide, so they are not worth looking up.
  has_groups_ = groups == Groups::kCallers && caller.uid != 0;
  if ((has_groups_ && SetThreadGroups(request.Groups()) != 0) || !SetIds(caller.uid, caller.gid)) error_ = EPERM;
}

ActAs ActAs::ForWriting(const Request& request, int file) {
  struct stat now {};
  const bool depends = request.caller().uid != 0 && fstat(file, &now) == 0 && (now.st_mode & S_ISGID) != 0 &&
                       (now.st_mode & S_IXGRP) == 0 && now.st_gid != request.caller().gid;
  return ActAs(request, depends ? Groups::kCallers : Groups::kNone);
}

ActAs::~ActAs() {
  const bool root_again = (!other_ || SetIds(0, 0)) && (!has_groups_ || SetThreadGroups({}) == 0);
  if (root_again) return;
  // The next caller would be somebody else; a successor goes on where this process ends.
  spdlog::critical("a thread cannot become root again (no memory?)");
  std::abort();
}

}  // namespace flocker
