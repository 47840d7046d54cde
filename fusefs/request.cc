#include "fusefs/request.h"

#include <cerrno>

namespace flocker {

void Request::Abandon() {
  if (req_ != nullptr) Error(EIO);
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
