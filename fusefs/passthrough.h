// Inside a dataset that is attached here: each request becomes the same system call on its ext4, made as the caller.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "fusefs/inode_table.h"
#include "fusefs/local_mount.h"
#include "fusefs/open_files.h"
#include "fusefs/request.h"

namespace flocker {

// Every method runs on a worker thread, may block in ext4 and answers the request, with the system call's own errno.
// `parent` and `node` are of the attachment that `in` is. Names are single components and never "." or "..".
class Passthrough {
 public:
  Passthrough(InodeTable& inodes, OpenFiles& files) : inodes_(inodes), files_(files) {}

  using In = const LocalMount::Use&;

  // passthrough_names.cc
  void Lookup(Request request, In in, const Inode& parent, const std::string& name);
  void MakeNode(Request request, In in, const Inode& parent, const std::string& name, mode_t mode, dev_t device);
  void MakeDirectory(Request request, In in, const Inode& parent, const std::string& name, mode_t mode);
  void MakeSymlink(Request request, In in, const Inode& parent, const std::string& name, const std::string& target);
  void Link(Request request, In in, const Inode& node, const Inode& parent, const std::string& name);
  void Remove(Request request, In in, const Inode& parent, const std::string& name, bool directory);
  void Rename(Request request, In in, const Inode& from, const std::string& name, const Inode& to,
              const std::string& new_name, unsigned flags);

  // passthrough_attributes.cc
  void Attributes(Request request, In in, const Inode& node);
  void OpenAttributes(Request request, const OpenFile& file);  // of a file, not a directory
  // `open` is the file of an ftruncate, null otherwise.
  void SetAttributes(Request request, In in, const Inode& node, const struct stat& to, int which, const OpenFile* open);
  void ReadLink(Request request, In in, const Inode& node);
  void Access(Request request, In in, const Inode& node, int mask);

  // passthrough_xattr.cc
  void GetXattr(Request request, In in, const Inode& node, const std::string& name, size_t room);
  void ListXattr(Request request, In in, const Inode& node, size_t room);
  void SetXattr(Request request, In in, const Inode& node, const std::string& name, const std::string& value,
                int flags);
  void RemoveXattr(Request request, In in, const Inode& node, const std::string& name);

  // passthrough_files.cc
  void Open(Request request, LocalMount::Use in, const Inode& node, int flags);
  void Create(Request request, LocalMount::Use in, const Inode& parent, const std::string& name, mode_t mode,
              int flags);
  // `flags` are the open file's present ones.
  void Read(Request request, OpenFile& file, size_t size, off_t offset, int flags);
  // `flags` are the open file's present ones, with O_DSYNC or O_SYNC for this write.
  struct Write {
    const char* data = nullptr;  // where it was received: until the request is answered
    size_t size = 0;
    off_t offset = 0;
    int flags = 0;
    bool page = false;  // from a memory mapping: its caller is unknown, and its offset holds in a file opened O_APPEND
  };
  void DoWrite(Request request, OpenFile& file, const Write& write);
  void Sync(Request request, const OpenFile& file, bool data_only);
  void Allocate(Request request, const OpenFile& file, int mode, off_t offset, off_t size);
  void Seek(Request request, const OpenFile& file, off_t offset, int whence);
  void CopyRange(Request request, const OpenFile& from, off_t from_offset, const OpenFile& to, off_t to_offset,
                 size_t size, int flags);

  // passthrough_ioctl.cc
  struct Control {
    unsigned command = 0;
    std::string in;
    size_t out_size = 0;
  };
  void DoControl(Request request, OpenFile& file, const Control& control);

  // passthrough_directories.cc
  void OpenDirectory(Request request, LocalMount::Use in, const Inode& node);
  void ReadDirectory(Request request, OpenFile& file, size_t size, off_t offset);
  void SyncDirectory(Request request, OpenFile& file, bool data_only);

 private:
  // The entry of `file` (any descriptor), and its lookup counted. 0 or errno.
  int Entry(const LocalMount& attachment, int file, fuse_entry_param* entry);
  // The entry for `name`, looked up as the caller (ActAs is in force), and its lookup counted. 0 or errno.
  int Find(const LocalMount& attachment, int directory, const std::string& name, fuse_entry_param* entry);
  void ReplyEntry(Request request, const fuse_entry_param& entry);
  // Runs `make` in the parent as the caller (nullptr: nothing), then answers the entry of `name`.
  template <class Make>
  void MakeEntry(Request request, In in, const Inode& parent, const std::string& name, Make make);
  void ReplyOpened(Request request, std::shared_ptr<OpenFile> file, const HowOpened& how,
                   const fuse_entry_param* created);

  InodeTable& inodes_;
  OpenFiles& files_;
};

}  // namespace flocker
