#include "engine/base/file_claim.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker {
namespace {

constexpr absl::string_view kOpen = "open ";
constexpr absl::string_view kClosed = "closed ";
constexpr absl::Duration kPollPause = absl::Milliseconds(5);

std::string DoorPath(const std::string& file) { return file + ".grant"; }

struct flock WholeClaim() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return lock;
}

std::string ProgramOf(pid_t pid) {
  const auto name = ReadFile(absl::StrCat("/proc/", pid, "/comm"));
  return name.ok() ? std::string(absl::StripAsciiWhitespace(*name)) : "";
}

// Kills the process that has the file, and no other that got its number meanwhile: who still has the file after the
// pidfd was opened is the one behind it, or that one has ended.
absl::Status KillClaimant(const std::string& file, pid_t pid, const std::string& program) {
  const auto pidfd = OpenPidfd(pid);
  if (absl::IsNotFound(pidfd.status())) return absl::OkStatus();
  RETURN_IF_ERROR(pidfd.status());
  ASSIGN_OR_RETURN(const std::optional<pid_t> still, ClaimantOf(file));
  if (still != pid || ProgramOf(pid) != program) return absl::OkStatus();
  if (syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    return ErrnoStatus(errno, absl::StrCat("cannot kill ", program, " ", pid, ", which does not let go of ", file));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileClaim> FileClaim::Take(const std::string& file, const std::string& user) {
  unique_fd fd(open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", file));
  struct flock claim = WholeClaim();
  if (fcntl(fd.get(), F_SETLK, &claim) != 0) {
    if (errno == EAGAIN || errno == EACCES) return Refuse(Cause::kBusy, absl::StrCat("another process has ", file));
    return ErrnoStatus(errno, absl::StrCat("cannot lock ", file));
  }
  unique_fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch)
    return ErrnoStatus(errno, "cannot make an inotify descriptor (see the sysctl fs.inotify.max_user_instances)");
  // Replaced or removed: the link count of the one we know becomes 0.
  const bool watched =
      inotify_add_watch(watch.get(), DoorPath(file).c_str(), IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) >= 0;
  if (!watched && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("cannot watch ", DoorPath(file)));
  ASSIGN_OR_RETURN(const std::optional<FileDoor> door, DoorOf(file));
  if (!watched || door != FileDoor{true, user}) {
    return absl::PermissionDeniedError(absl::StrCat(file, " is not granted to ", user));
  }
  return FileClaim(std::move(fd), std::move(watch));
}

absl::StatusOr<std::optional<FileDoor>> DoorOf(const std::string& file) {
  const auto text = ReadFile(DoorPath(file));
  if (absl::IsNotFound(text.status())) return std::nullopt;
  RETURN_IF_ERROR(text.status());
  absl::string_view rest = *text;
  const bool open = absl::ConsumePrefix(&rest, kOpen);
  if ((!open && !absl::ConsumePrefix(&rest, kClosed)) || !absl::ConsumeSuffix(&rest, "\n")) {
    return absl::InternalError(absl::StrCat(DoorPath(file), " has a content of somebody else's; remove it"));
  }
  return FileDoor{open, std::string(rest)};
}

absl::Status SetDoor(const std::string& file, const FileDoor& door) {
  return ReplaceFile(DoorPath(file), absl::StrCat(door.open ? kOpen : kClosed, door.user, "\n"));
}

absl::Status RemoveDoor(const std::string& file) {
  if (unlink(DoorPath(file).c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("cannot remove ", DoorPath(file)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<pid_t>> ClaimantOf(const std::string& file) {
  const unique_fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", file));
  struct flock claim = WholeClaim();
  if (fcntl(fd.get(), F_GETLK, &claim) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot see who has locked ", file));
  }
  if (claim.l_type == F_UNLCK) return std::nullopt;
  return std::max<pid_t>(claim.l_pid, 0);  // -1: a lock of a description, as of no process of ours
}

absl::Status WaitUnclaimed(const std::string& file, const std::string& program, absl::Duration patience,
                           absl::Duration timeout) {
  const absl::Time start = SteadyNow();
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<pid_t> claimant, ClaimantOf(file));
    if (!claimant) return absl::OkStatus();
    const absl::Duration waited = SteadyNow() - start;
    if (waited > timeout) {
      return absl::DeadlineExceededError(absl::StrCat("process ", *claimant, " (", ProgramOf(*claimant), ") still has ",
                                                      file, " after ", absl::FormatDuration(timeout),
                                                      ". Nobody else may be let in before it ends"));
    }
    if (waited >= patience && *claimant > 0) RETURN_IF_ERROR(KillClaimant(file, *claimant, program));
    absl::SleepFor(kPollPause);
  }
}

}  // namespace flocker
