// Extended attributes. Which of them a caller may touch is decided by its own kernel before it asks us (trusted.*,
// security.*) and by ext4 (user.*, ACLs).
#include <limits.h>
#include <linux/xattr.h>
#include <sys/xattr.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "fusefs/anchor.h"
#include "fusefs/caller.h"
#include "fusefs/credentials.h"
#include "fusefs/passthrough.h"

namespace flocker {
namespace {

// Runs `call(path)` as the caller; its result, or -errno.
template <class Call>
ssize_t AsCaller(const Request& request, const Anchor& anchor, Call call) {
  if (anchor.error() != 0) return -anchor.error();
  const ActAs caller(request);
  if (caller.error() != 0) return -caller.error();
  const ssize_t result = call(anchor.Path().c_str());
  return result < 0 ? -errno : result;
}

void ReplyValue(Request request, ssize_t result, std::string value, size_t room) {
  if (result < 0) return request.Error(static_cast<int>(-result));
  value.resize(room == 0 ? value.size() : static_cast<size_t>(result));
  request.Attribute(value, room);
}

// Of a list as listxattr(2) has it, each name with its closing 0.
std::string WithoutTrusted(const std::string& names) {
  std::string kept;
  for (const absl::string_view name : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    if (!absl::StartsWith(name, XATTR_TRUSTED_PREFIX)) kept.append(name.data(), name.size()).push_back('\0');
  }
  return kept;
}

}  // namespace

void Passthrough::GetXattr(Request request, In in, const Inode& node, const std::string& name, size_t room) {
  std::string value(room, '\0');
  const Anchor anchor(*in, node);
  const ssize_t result =
      AsCaller(request, anchor, [&](const char* path) { return getxattr(path, name.c_str(), value.data(), room); });
  if (room == 0 && result > 0) value.resize(static_cast<size_t>(result));
  ReplyValue(std::move(request), result, std::move(value), room);
}

void Passthrough::ListXattr(Request request, In in, const Inode& node, size_t room) {
  std::string names(XATTR_LIST_MAX, '\0');
  const Anchor anchor(*in, node);
  const ssize_t result =
      AsCaller(request, anchor, [&](const char* path) { return listxattr(path, names.data(), names.size()); });
  if (result < 0) return request.Error(static_cast<int>(-result));
  names.resize(static_cast<size_t>(result));
  // ext4 lists these to whoever may administer the machine, and takes this daemon for one.
  if (absl::StrContains(names, XATTR_TRUSTED_PREFIX) && !MayAdminister(request)) names = WithoutTrusted(names);
  request.Attribute(names, room);
}

void Passthrough::SetXattr(Request request, In in, const Inode& node, const std::string& name, const std::string& value,
                           int flags) {
  const Anchor anchor(*in, node);
  const ssize_t result = AsCaller(request, anchor, [&](const char* path) {
    if (flags != 0) request.Begin();  // XATTR_CREATE, XATTR_REPLACE
    return setxattr(path, name.c_str(), value.data(), value.size(), flags);
  });
  request.Error(static_cast<int>(-result));
}

void Passthrough::RemoveXattr(Request request, In in, const Inode& node, const std::string& name) {
  const Anchor anchor(*in, node);
  const ssize_t result = AsCaller(request, anchor, [&](const char* path) {
    request.Begin();
    return removexattr(path, name.c_str());
  });
  request.Error(static_cast<int>(-result));
}

}  // namespace flocker
