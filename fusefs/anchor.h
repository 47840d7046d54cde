// A node's place in its ext4, for the duration of one request.
#pragma once

#include <string>

#include "engine/base/unique_fd.h"
#include "fusefs/inode_table.h"
#include "fusefs/local_mount.h"

namespace flocker {

// Opens the node by its handle, as root and without any access to its content (O_PATH). The *at calls start from fd(),
// and calls that know no AT_EMPTY_PATH take Path(); neither follows a symlink, not even when the node is one.
// Must be made before ActAs: opening by handle is root's right (CAP_DAC_READ_SEARCH).
class Anchor {
 public:
  Anchor(const LocalMount& attachment, const Inode& node)
      : Anchor(attachment, node.kind == InodeKind::kDataset ? FileHandle() : node.handle) {}
  // An empty handle is the dataset's root.
  Anchor(const LocalMount& attachment, const FileHandle& handle);

  int error() const { return error_; }  // 0, or ESTALE when the file is gone
  int fd() const { return fd_; }
  std::string Path() const;  // /proc/self/fd/<n>

 private:
  unique_fd owned_;
  int fd_ = -1;  // the attachment's own for a dataset's root
  int error_ = 0;
};

// The handle by which the file behind `fd` can be opened again; EOPNOTSUPP and others as in name_to_handle_at(2).
int MakeHandle(int fd, FileHandle* handle);

}  // namespace flocker
