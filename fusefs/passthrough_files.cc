// Open files: reading, writing and what goes with it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "fusefs/anchor.h"
#include "fusefs/credentials.h"
#include "fusefs/newer_requests.h"
#include "fusefs/passthrough.h"

namespace flocker {
namespace {

// What a caller's open flags become here. Not O_DIRECT, O_APPEND and O_SYNC: they are told with every request (a caller
// can change them with fcntl), and a page of a memory mapping must be written without them (Write::page).
constexpr int kOpenFlags = O_ACCMODE | O_TRUNC | O_NOATIME | O_NONBLOCK;
constexpr int kOpenAgainFlags = O_ACCMODE | O_NOATIME | O_NONBLOCK;
// The kernel opens to execute (its __FMODE_EXEC, include/linux/fs.h): FUSE has it checked by nobody else.
constexpr int kOpenToExecute = 0x20;

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};

struct AlignedMemory {
  std::unique_ptr<char, FreeMemory> buffer;
  size_t room = 0;
};
thread_local AlignedMemory aligned;

// Memory for direct reads, which want it aligned: the calling thread's own, valid until it asks again. Null: no memory.
char* AlignedBuffer(size_t size) {
  constexpr size_t kAlignment = 4096;
  if (aligned.room < size) {
    aligned.room = (size + kAlignment - 1) / kAlignment * kAlignment;
    aligned.buffer.reset(static_cast<char*>(std::aligned_alloc(kAlignment, aligned.room)));
    if (aligned.buffer == nullptr) aligned.room = 0;
  }
  return aligned.buffer.get();
}

}  // namespace

void Passthrough::ReplyOpened(Request request, std::shared_ptr<OpenFile> file, const HowOpened& how,
                              const fuse_entry_param* created) {
  fuse_file_info info{};
  info.fh = files_.Add(std::move(file), how, request.unique());
  const bool taken = created != nullptr ? request.Created(*created, info) : request.Opened(info);
  if (taken) return;
  files_.Remove(info.fh);
  if (created != nullptr) inodes_.Forget(created->ino, 1);
}

void Passthrough::Open(Request request, LocalMount::Use in, const Inode& node, int flags) {
  const Anchor anchor(*in, node);
  if (anchor.error() != 0) return request.Error(anchor.error());
  unique_fd file;
  int error = 0;
  bool append_only = false;
  {
    const ActAs caller(request);
    error = caller.error();
    if (error == 0 && (flags & kOpenToExecute) != 0 &&
        faccessat(anchor.fd(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) {
      error = errno;
    }
    if (error == 0) {
      const int how = (flags & kOpenFlags) | O_NOCTTY | O_CLOEXEC;
      file.reset(open(anchor.Path().c_str(), how));
      if (!file && errno == EPERM && (flags & O_APPEND) != 0) {
        file.reset(open(anchor.Path().c_str(), how | O_APPEND));
        append_only = true;
      }
      if (!file) error = errno;
    }
  }
  if (error != 0) return request.Error(error);
  auto opened = std::make_shared<OpenFile>(std::move(in), std::move(file));
  opened->append_only = append_only;
  ReplyOpened(std::move(request), std::move(opened), {node.handle, flags & kOpenAgainFlags}, nullptr);
}

void Passthrough::Create(Request request, LocalMount::Use in, const Inode& parent, const std::string& name, mode_t mode,
                         int flags) {
  const Anchor directory(*in, parent);
  if (directory.error() != 0) return request.Error(directory.error());
  unique_fd file;
  fuse_entry_param entry{};
  int error = 0;
  {
    const ActAs caller(request);
    error = caller.error();
    if (error == 0) {
      const int how = (flags & (kOpenFlags | O_EXCL)) | O_NOCTTY | O_CLOEXEC;
      request.Begin();
      // O_NONBLOCK: what the native path has put there meanwhile may be a fifo.
      file.reset(name == kNoName ? openat(directory.fd(), ".", how | O_TMPFILE, mode)
                                 : openat(directory.fd(), name.c_str(), how | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode));
      error = file ? Entry(*in, file.get(), &entry) : errno;
    }
  }
  if (error != 0) return request.Error(error);
  const auto node = inodes_.Find(entry.ino);
  ReplyOpened(std::move(request), std::make_shared<OpenFile>(std::move(in), std::move(file)),
              {node->handle, flags & kOpenAgainFlags}, &entry);
}

void Passthrough::Read(Request request, OpenFile& file, size_t size, off_t offset, int flags) {
  if ((flags & O_DIRECT) != 0) {
    const int direct = file.Direct();
    if (direct < 0) return request.Error(errno);
    char* buffer = AlignedBuffer(size);
    if (buffer == nullptr) return request.Error(ENOMEM);
    const ssize_t got = pread(direct, buffer, size, offset);
    return got < 0 ? request.Error(errno) : request.Bytes({buffer, static_cast<size_t>(got)});
  }
  fuse_bufvec data{};
  data.count = 1;
  data.buf[0].size = size;
  data.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  data.buf[0].fd = file.fd.get();
  data.buf[0].pos = offset;
  request.Data(data);
}

void Passthrough::DoWrite(Request request, OpenFile& file, const Write& write) {
  iovec data = {const_cast<char*>(write.data), write.size};
  int fd = file.fd.get();
  if (write.page && file.append_only) return request.Error(EPERM);
  if (!write.page && (write.flags & O_DIRECT) != 0) {
    fd = file.Direct();  // the data are aligned: InFlight::Room
    if (fd < 0) return request.Error(errno);
  }
  ssize_t written = 0;
  int error = 0;
  if (write.page) {
    written = pwritev2(fd, &data, 1, write.offset, 0);
    if (written < 0) error = errno;
  } else {
    if ((write.flags & O_APPEND) != 0 || file.append_only) request.Begin();
    // As the caller, so that ext4 takes setuid and setgid bits away as it would from the caller's own write.
    const ActAs caller = ActAs::ForWriting(request, fd);
    error = caller.error();
    const int how = ((write.flags & O_APPEND) != 0 ? RWF_APPEND : 0) | ((write.flags & O_DSYNC) != 0 ? RWF_DSYNC : 0) |
                    ((write.flags & O_SYNC) == O_SYNC ? RWF_SYNC : 0);
    if (error == 0 && (written = pwritev2(fd, &data, 1, write.offset, how)) < 0) error = errno;
  }
  error == 0 ? request.Written(static_cast<size_t>(written)) : request.Error(error);
}

void Passthrough::Sync(Request request, const OpenFile& file, bool data_only) {
  const int result = data_only ? fdatasync(file.fd.get()) : fsync(file.fd.get());
  request.Error(result == 0 ? 0 : errno);
}

void Passthrough::Allocate(Request request, const OpenFile& file, int mode, off_t offset, off_t size) {
  int error = 0;
  {
    const ActAs caller = ActAs::ForWriting(request, file.fd.get());
    error = caller.error();
    if (error == 0 && fallocate(file.fd.get(), mode, offset, size) != 0) error = errno;
  }
  request.Error(error);
}

void Passthrough::Seek(Request request, const OpenFile& file, off_t offset, int whence) {
  const off_t found = lseek(file.fd.get(), offset, whence);
  found >= 0 ? request.Offset(found) : request.Error(errno);
}

void Passthrough::CopyRange(Request request, const OpenFile& from, off_t from_offset, const OpenFile& to,
                            off_t to_offset, size_t size, int flags) {
  ssize_t copied = 0;
  int error = 0;
  {
    const ActAs caller = ActAs::ForWriting(request, to.fd.get());
    error = caller.error();
    if (error == 0) {
      copied =
          copy_file_range(from.fd.get(), &from_offset, to.fd.get(), &to_offset, size, static_cast<unsigned>(flags));
      if (copied < 0) error = errno;
    }
  }
  error == 0 ? request.Written(static_cast<size_t>(copied)) : request.Error(error);
}

}  // namespace flocker
