#include "engine/volume/fuse_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

constexpr char kConnections[] = "/sys/fs/fuse/connections";

// Whether a FUSE mount is there, whose connection is dead now.
absl::StatusOr<bool> FindAndAbort(const std::string& path) {
  ASSIGN_OR_RETURN(const auto present, FindMount(path));
  if (!present) return false;
  if (!absl::StartsWith(present->type, "fuse") || absl::StartsWith(present->type, "fuseblk")) {
    return Refuse(Cause::kForbidden, absl::StrCat(path, " is no FUSE mount but ", present->type, "; left alone"));
  }
  RETURN_IF_ERROR(AbortFuseConnection(present->device));
  return true;
}

}  // namespace

absl::Status EnsureFuseControl() {
  ASSIGN_OR_RETURN(const auto present, FindMount(kConnections));
  if (present && present->type == "fusectl") return absl::OkStatus();
  if (mount("fusectl", kConnections, "fusectl", MS_NODEV | MS_NOSUID | MS_NOEXEC, nullptr) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, absl::StrCat("cannot mount fusectl at ", kConnections));
}

absl::Status AbortFuseConnection(dev_t device) {
  RETURN_IF_ERROR(EnsureFuseControl());
  // The directory is named by the mount's device number, whose major is 0 (fs/fuse/control.c, fuse_ctl_add_conn).
  const std::string path = absl::StrCat(kConnections, "/", minor(device), "/abort");
  const unique_fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return absl::OkStatus();
  if (!fd || write(fd.get(), "1", 1) != 1) return ErrnoStatus(errno, absl::StrCat("cannot write to ", path));
  return absl::OkStatus();
}

absl::Status AbortFuseMount(const std::string& path) { return FindAndAbort(path).status(); }

absl::Status DetachFuseMount(const std::string& path) {
  ASSIGN_OR_RETURN(const bool present, FindAndAbort(path));
  if (present && umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot detach the FUSE mount at ", path));
  }
  return absl::OkStatus();
}

}  // namespace flocker
