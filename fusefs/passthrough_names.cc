// Looking up, making, linking, renaming and removing names.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>
#include <utility>

#include "fusefs/anchor.h"
#include "fusefs/credentials.h"
#include "fusefs/passthrough.h"

namespace flocker {

int Passthrough::Find(const LocalMount& attachment, int directory, const std::string& name, fuse_entry_param* entry) {
  const unique_fd found(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  return found ? Entry(attachment, found.get(), entry) : errno;
}

int Passthrough::Entry(const LocalMount& attachment, int file, fuse_entry_param* entry) {
  *entry = {};
  if (fstat(file, &entry->attr) != 0) return errno;
  // Somebody mounted something below the native mount: that is another filesystem, and no handle of ours reaches it.
  if (entry->attr.st_dev != attachment.device()) return EXDEV;
  FileHandle handle;
  if (const int error = MakeHandle(file, &handle); error != 0) return error;
  entry->attr = attachment.Shown(entry->attr);
  entry->ino = inodes_.File(attachment.dataset(), attachment.serial(), std::move(handle))->id;
  return 0;
}

void Passthrough::ReplyEntry(Request request, const fuse_entry_param& entry) {
  if (!request.Entry(entry)) inodes_.Forget(entry.ino, 1);
}

void Passthrough::Lookup(Request request, In in, const Inode& parent, const std::string& name) {
  MakeEntry(std::move(request), in, parent, name, nullptr);
}

template <class Make>
void Passthrough::MakeEntry(Request request, In in, const Inode& parent, const std::string& name, Make make) {
  const Anchor directory(*in, parent);
  if (directory.error() != 0) return request.Error(directory.error());
  fuse_entry_param entry{};
  int error = 0;
  {
    const ActAs caller(request);
    error = caller.error();
    if constexpr (!std::is_null_pointer_v<Make>) {
      if (error == 0) {
        request.Begin();
        if (make(directory.fd()) != 0) error = errno;
      }
    }
    if (error == 0) error = Find(*in, directory.fd(), name, &entry);
  }
  error == 0 ? ReplyEntry(std::move(request), entry) : request.Error(error);
}

void Passthrough::MakeNode(Request request, In in, const Inode& parent, const std::string& name, mode_t mode,
                           dev_t device) {
  MakeEntry(std::move(request), in, parent, name,
            [&](int directory) { return mknodat(directory, name.c_str(), mode, device); });
}

void Passthrough::MakeDirectory(Request request, In in, const Inode& parent, const std::string& name, mode_t mode) {
  MakeEntry(std::move(request), in, parent, name,
            [&](int directory) { return mkdirat(directory, name.c_str(), mode); });
}

void Passthrough::MakeSymlink(Request request, In in, const Inode& parent, const std::string& name,
                              const std::string& target) {
  MakeEntry(std::move(request), in, parent, name,
            [&](int directory) { return symlinkat(target.c_str(), directory, name.c_str()); });
}

void Passthrough::Link(Request request, In in, const Inode& node, const Inode& parent, const std::string& name) {
  const Anchor file(*in, node);
  if (file.error() != 0) return request.Error(file.error());
  // Not AT_EMPTY_PATH, which wants a capability that the caller's identity has not.
  MakeEntry(std::move(request), in, parent, name, [&](int directory) {
    return linkat(AT_FDCWD, file.Path().c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW);
  });
}

void Passthrough::Remove(Request request, In in, const Inode& parent, const std::string& name, bool directory) {
  const Anchor anchor(*in, parent);
  int error = anchor.error();
  if (error == 0) {
    const ActAs caller(request);
    error = caller.error();
    if (error == 0) {
      request.Begin();
      if (unlinkat(anchor.fd(), name.c_str(), directory ? AT_REMOVEDIR : 0) != 0) error = errno;
    }
  }
  request.Error(error);
}

void Passthrough::Rename(Request request, In in, const Inode& from, const std::string& name, const Inode& to,
                         const std::string& new_name, unsigned flags) {
  const Anchor old_parent(*in, from);
  const Anchor new_parent(*in, to);
  int error = old_parent.error() != 0 ? old_parent.error() : new_parent.error();
  if (error == 0) {
    const ActAs caller(request);
    error = caller.error();
    if (error == 0) {
      request.Begin();
      if (renameat2(old_parent.fd(), name.c_str(), new_parent.fd(), new_name.c_str(), flags) != 0) error = errno;
    }
  }
  request.Error(error);
}

}  // namespace flocker
