// Extended attributes. Which of them a caller may touch is decided by its own kernel before it asks us (trusted.*,
// security.*) and by ext4 (user.*, ACLs).
#include <sys/xattr.h>

#include <cerrno>
#include <string>
#include <utility>

#include "fusefs/anchor.h"
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
  std::string names(room, '\0');
  const Anchor anchor(*in, node);
  const ssize_t result =
      AsCaller(request, anchor, [&](const char* path) { return listxattr(path, names.data(), room); });
  if (room == 0 && result > 0) names.resize(static_cast<size_t>(result));
  ReplyValue(std::move(request), result, std::move(names), room);
}

void Passthrough::SetXattr(Request request, In in, const Inode& node, const std::string& name, const std::string& value,
                           int flags) {
  const Anchor anchor(*in, node);
  const ssize_t result = AsCaller(request, anchor, [&](const char* path) {
    return setxattr(path, name.c_str(), value.data(), value.size(), flags);
  });
  request.Error(static_cast<int>(-result));
}

void Passthrough::RemoveXattr(Request request, In in, const Inode& node, const std::string& name) {
  const Anchor anchor(*in, node);
  const ssize_t result = AsCaller(request, anchor, [&](const char* path) { return removexattr(path, name.c_str()); });
  request.Error(static_cast<int>(-result));
}

}  // namespace flocker
