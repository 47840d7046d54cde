// Attributes, symlink targets, permissions.
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "fusefs/anchor.h"
#include "fusefs/credentials.h"
#include "fusefs/passthrough.h"

namespace flocker {
namespace {

timespec TimeToSet(int which, int now, int given, const timespec& time) {
  if ((which & now) != 0) return {0, UTIME_NOW};
  if ((which & given) != 0) return time;
  return {0, UTIME_OMIT};
}

// As the caller. 0 or errno.
int Apply(const Anchor& anchor, const struct stat& to, int which, const OpenFile* open) {
  if ((which & FUSE_SET_ATTR_MODE) != 0 && chmod(anchor.Path().c_str(), to.st_mode & 07777) != 0) return errno;
  if (which == 0) {
    // chown(-1, -1), which takes setuid away; or a write is to come, which will do so itself, whoever writes.
    const int result = fchownat(anchor.fd(), "", static_cast<uid_t>(-1), static_cast<gid_t>(-1), AT_EMPTY_PATH);
    if (result != 0 && errno != EPERM) return errno;
  }
  if ((which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
    const uid_t uid = (which & FUSE_SET_ATTR_UID) != 0 ? to.st_uid : static_cast<uid_t>(-1);
    const gid_t gid = (which & FUSE_SET_ATTR_GID) != 0 ? to.st_gid : static_cast<gid_t>(-1);
    if (fchownat(anchor.fd(), "", uid, gid, AT_EMPTY_PATH) != 0) return errno;
  }
  if ((which & FUSE_SET_ATTR_SIZE) != 0) {
    const int result =
        open != nullptr ? ftruncate(open->fd.get(), to.st_size) : truncate(anchor.Path().c_str(), to.st_size);
    if (result != 0) return errno;
  }
  // A truncate brings the time along; ext4 has already set its own.
  constexpr int kTimes = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
  if ((which & kTimes) != 0 && (which & FUSE_SET_ATTR_SIZE) == 0) {
    const std::array<timespec, 2> times = {TimeToSet(which, FUSE_SET_ATTR_ATIME_NOW, FUSE_SET_ATTR_ATIME, to.st_atim),
                                           TimeToSet(which, FUSE_SET_ATTR_MTIME_NOW, FUSE_SET_ATTR_MTIME, to.st_mtim)};
    if (utimensat(anchor.fd(), "", times.data(), AT_EMPTY_PATH) != 0) return errno;
  }
  return 0;
}

std::optional<statx_timestamp> Birth(int fd) {
  struct statx shown {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &shown) != 0 || (shown.stx_mask & STATX_BTIME) == 0)
    return std::nullopt;
  return shown.stx_btime;
}

}  // namespace

void Passthrough::Attributes(Request request, In in, const Inode& node) {
  const Anchor anchor(*in, node);
  struct stat attributes {};
  if (anchor.error() != 0) return request.Error(anchor.error());
  if (fstat(anchor.fd(), &attributes) != 0) return request.Error(errno);
  const auto birth = request.WantsBirth() ? Birth(anchor.fd()) : std::nullopt;
  request.Attributes(in->Shown(attributes), birth);
}

void Passthrough::OpenAttributes(Request request, const OpenFile& file) {
  struct stat attributes {};
  if (fstat(file.fd.get(), &attributes) != 0) return request.Error(errno);
  const auto birth = request.WantsBirth() ? Birth(file.fd.get()) : std::nullopt;
  request.Attributes(file.use->Shown(attributes), birth);
}

void Passthrough::SetAttributes(Request request, In in, const Inode& node, const struct stat& to, int which,
                                const OpenFile* open) {
  const Anchor anchor(*in, node);
  int error = anchor.error();
  if (error == 0) {
    const ActAs caller(request);
    error = caller.error() != 0 ? caller.error() : Apply(anchor, to, which, open);
  }
  struct stat attributes {};
  if (error == 0 && fstat(anchor.fd(), &attributes) != 0) error = errno;
  error == 0 ? request.Attributes(in->Shown(attributes)) : request.Error(error);
}

void Passthrough::ReadLink(Request request, In in, const Inode& node) {
  const Anchor anchor(*in, node);
  if (anchor.error() != 0) return request.Error(anchor.error());
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlinkat(anchor.fd(), "", target.data(), target.size());
  if (size < 0) return request.Error(errno);
  request.Link(std::string(target.data(), static_cast<size_t>(size)));
}

void Passthrough::Access(Request request, In in, const Inode& node, int mask) {
  const Anchor anchor(*in, node);
  int error = anchor.error();
  if (error == 0) {
    const ActAs caller(request);
    error = caller.error();
    // AT_EACCESS: the identity that counts is the one put on, not the thread's real ids.
    if (error == 0 && faccessat(anchor.fd(), "", mask, AT_EMPTY_PATH | AT_EACCESS) != 0) error = errno;
  }
  request.Error(error);
}

}  // namespace flocker
