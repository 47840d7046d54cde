// The inode flags of chattr(1) and lsattr(1). No other ioctl passes: what a command does is ext4's to know, and many
// act on the whole filesystem.
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "fusefs/credentials.h"
#include "fusefs/passthrough.h"

namespace flocker {
namespace {

// Of the command's argument; 0 for one that does not pass. The flags are an int, whatever the command's number says
// (ioctl_iflags(2)).
size_t ArgumentSize(unsigned command) {
  switch (command) {
    case FS_IOC_GETFLAGS:
    case FS_IOC_SETFLAGS:
      return sizeof(int);
    case FS_IOC_FSGETXATTR:
    case FS_IOC_FSSETXATTR:
      return sizeof(fsxattr);
    default:
      return 0;
  }
}

}  // namespace

// The caller's kernel has checked its capabilities (fileattr_set_prepare), and ext4 checks the owner.
void Passthrough::DoControl(Request request, OpenFile& file, const Control& control) {
  const size_t size = ArgumentSize(control.command);
  if (size == 0) return request.Error(ENOTTY);
  const bool sets = (_IOC_DIR(control.command) & _IOC_WRITE) != 0;
  if (sets ? control.in.size() < size : control.out_size < size) return request.Error(EINVAL);
  alignas(fsxattr) char argument[sizeof(fsxattr)] = {};
  if (sets) std::memcpy(argument, control.in.data(), size);
  const int fd = file.Descriptor();
  int error = 0;
  {
    const ActAs caller(request);
    error = caller.error();
    if (error == 0 && ioctl(fd, control.command, argument) != 0) error = errno;
  }
  if (error != 0) return request.Error(error);
  request.Controlled({argument, sets ? 0 : size});
}

}  // namespace flocker
