#include "fusefs/request.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

namespace flocker {
namespace {

// fuse_statx_out of linux/fuse.h (>= 6.6), whose fuse_statx is laid out as statx(2)'s own.
struct StatxReply {
  uint64_t valid = 0;  // seconds; attributes are never cached
  uint32_t valid_nsec = 0;
  uint32_t flags = 0;
  uint64_t spare[2] = {};
  struct statx attributes {};
};
static_assert(sizeof(StatxReply) == 32 + 256);

statx_timestamp Timestamp(const timespec& time) {
  return {.tv_sec = time.tv_sec, .tv_nsec = static_cast<uint32_t>(time.tv_nsec)};
}

}  // namespace

void Request::Abandon() {
  if (req_ != nullptr) Error(EIO);
}

void Request::Attributes(const struct stat& attributes, const std::optional<statx_timestamp>& birth) {
  if (form_ == Form::kUsual) {
    fuse_reply_attr(Take(), &attributes, 0);
    return;
  }
  StatxReply reply;
  struct statx& shown = reply.attributes;
  shown.stx_mask = STATX_BASIC_STATS;
  shown.stx_blksize = static_cast<uint32_t>(attributes.st_blksize);
  shown.stx_nlink = static_cast<uint32_t>(attributes.st_nlink);
  shown.stx_uid = attributes.st_uid;
  shown.stx_gid = attributes.st_gid;
  shown.stx_mode = static_cast<uint16_t>(attributes.st_mode);
  shown.stx_ino = attributes.st_ino;
  shown.stx_size = static_cast<uint64_t>(attributes.st_size);
  shown.stx_blocks = static_cast<uint64_t>(attributes.st_blocks);
  shown.stx_atime = Timestamp(attributes.st_atim);
  shown.stx_mtime = Timestamp(attributes.st_mtim);
  shown.stx_ctime = Timestamp(attributes.st_ctim);
  shown.stx_rdev_major = major(attributes.st_rdev);
  shown.stx_rdev_minor = minor(attributes.st_rdev);
  if (birth) {
    shown.stx_mask |= STATX_BTIME;
    shown.stx_btime = *birth;
  }
  fuse_reply_buf(Take(), reinterpret_cast<const char*>(&reply), sizeof reply);
}

void Request::Attribute(std::string_view value, size_t room) {
  if (room == 0) {
    fuse_reply_xattr(Take(), value.size());
  } else if (value.size() > room) {
    Error(ERANGE);
  } else {
    Bytes(value);
  }
}

std::vector<gid_t> Request::Groups() const {
  std::vector<gid_t> groups(64);
  int count = fuse_req_getgroups(req_, static_cast<int>(groups.size()), groups.data());
  if (count > static_cast<int>(groups.size())) {
    groups.resize(static_cast<size_t>(count));
    count = std::min(fuse_req_getgroups(req_, count, groups.data()), count);
  }
  groups.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return groups;
}

}  // namespace flocker
