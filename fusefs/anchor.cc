#include "fusefs/anchor.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

// struct file_handle ends in an array of no declared length; this is room for the largest one.
struct HandleRoom {
  alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> bytes{};
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes.data()); }
  char* content() { return bytes.data() + offsetof(file_handle, f_handle); }
};

}  // namespace

Anchor::Anchor(const LocalMount& attachment, const FileHandle& handle) {
  if (handle.bytes.empty()) {
    fd_ = attachment.mount();
    return;
  }
  HandleRoom room;
  room.get()->handle_type = handle.type;
  room.get()->handle_bytes = static_cast<unsigned>(handle.bytes.size());
  std::memcpy(room.content(), handle.bytes.data(), handle.bytes.size());
  owned_.reset(open_by_handle_at(attachment.mount(), room.get(), O_PATH | O_CLOEXEC));
  if (!owned_) error_ = errno;
  fd_ = owned_.get();
}

std::string Anchor::Path() const { return absl::StrCat("/proc/self/fd/", fd_); }

int MakeHandle(int fd, FileHandle* handle) {
  HandleRoom room;
  room.get()->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (name_to_handle_at(fd, "", room.get(), &mount_id, AT_EMPTY_PATH) != 0) return errno;
  handle->type = room.get()->handle_type;
  handle->bytes.assign(room.content(), room.get()->handle_bytes);
  return 0;
}

}  // namespace flocker
