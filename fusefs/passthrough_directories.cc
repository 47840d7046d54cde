// Open directories.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/catalog/inode_numbers.h"
#include "fusefs/anchor.h"
#include "fusefs/credentials.h"
#include "fusefs/passthrough.h"

namespace flocker {

void Passthrough::OpenDirectory(Request request, LocalMount::Use in, const Inode& node) {
  const Anchor anchor(*in, node);
  if (anchor.error() != 0) return request.Error(anchor.error());
  unique_fd fd;
  int error = 0;
  {
    const ActAs caller(request);
    error = caller.error();
    if (error == 0) {
      fd.reset(open(anchor.Path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!fd) error = errno;
    }
  }
  if (error != 0) return request.Error(error);
  in.StopHolding();
  auto file = std::make_shared<OpenFile>(std::move(in), unique_fd());
  {
    MutexLock lock(file->mutex);
    file->directory.reset(fdopendir(fd.get()));
    if (file->directory == nullptr) return request.Error(errno);
    fd.release();  // the stream's now
  }
  const FileHandle handle = node.kind == InodeKind::kDataset ? FileHandle() : node.handle;
  ReplyOpened(std::move(request), std::move(file), {handle, O_RDONLY | O_DIRECTORY}, nullptr);
}

void Passthrough::ReadDirectory(Request request, OpenFile& file, size_t size, off_t offset) {
  std::vector<char> entries(size);
  size_t used = 0;
  {
    MutexLock lock(file.mutex);
    DIR* directory = file.directory.get();
    if (directory == nullptr) return request.Error(ENOTDIR);
    if (offset != file.position) {
      seekdir(directory, offset);
      file.position = offset;
      file.pending = nullptr;
    }
    while (true) {
      if (file.pending == nullptr) {
        errno = 0;
        file.pending = readdir(directory);
        if (file.pending == nullptr) {
          if (errno != 0 && used == 0) return request.Error(errno);
          break;
        }
      }
      struct stat shown {};
      shown.st_ino = FileInode(file.use->serial(), file.pending->d_ino);
      shown.st_mode = static_cast<mode_t>(DTTOIF(file.pending->d_type));
      const off_t next = file.pending->d_off;
      const size_t needed = fuse_add_direntry(request.raw(), entries.data() + used, size - used,
                                              static_cast<const char*>(file.pending->d_name), &shown, next);
      if (needed > size - used) break;
      used += needed;
      file.position = next;
      file.pending = nullptr;
    }
  }
  request.Bytes({entries.data(), used});
}

void Passthrough::SyncDirectory(Request request, OpenFile& file, bool data_only) {
  const int fd = file.Descriptor();
  const int result = data_only ? fdatasync(fd) : fsync(fd);
  request.Error(result == 0 ? 0 : errno);
}

}  // namespace flocker
