#include "engine/volume/growth.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "engine/base/apart.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/format.h"
#include "engine/volume/superblock.h"

namespace flocker {
namespace {

// fs/ext4/ext4.h; the number of blocks to grow to.
constexpr unsigned long kExt4ResizeFs = _IOW('f', 16, uint64_t);
constexpr uint64_t kBlock = 4096;  // as PrepareFilesystem's mkfs makes it

// A block group of 4 KiB blocks begins with its bitmaps, 2 MiB of inodes, and perhaps copies of superblock and group
// descriptors with up to 4 MiB kept free for more of them.
constexpr uint64_t kTooSmall = uint64_t{8} << 20;

struct Sizes {
  uint64_t device = 0;
  uint64_t filesystem = 0;
  bool differ() const { return device >= filesystem + kTooSmall; }
};

absl::StatusOr<Sizes> Measure(const std::string& device) {
  Sizes sizes;
  const unique_fd fd(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ioctl(fd.get(), BLKGETSIZE64, &sizes.device) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot learn the size of ", device));
  }
  ASSIGN_OR_RETURN(const auto superblock, ReadExt4Superblock(device));
  if (!superblock) return Refuse(Cause::kForbidden, absl::StrCat(device, " carries no ext4 to grow"));
  sizes.filesystem = superblock->size;
  return sizes;
}

}  // namespace

bool MayGrowMounted() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective & CAP_TO_MASK(CAP_SYS_RESOURCE)) != 0;
}

absl::Status GrowMounted(const std::string& device, const std::string& path) {
  ASSIGN_OR_RETURN(const Sizes sizes, Measure(device));
  if (!sizes.differ()) return absl::OkStatus();
  if (!MayGrowMounted()) {
    return Refuse(Cause::kDenied, absl::StrCat("growing ", path, " while it is mounted needs CAP_SYS_RESOURCE"));
  }
  const unique_fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return ErrnoStatus(errno, absl::StrCat("cannot open ", path, " to grow its filesystem"));
  struct stat there {};
  struct stat below {};
  if (fstat(root.get(), &there) != 0 || stat(device.c_str(), &below) != 0 || there.st_dev != below.st_rdev) {
    return Refuse(Cause::kStale, absl::StrCat(path, " is not the filesystem of ", device));  // never the host's own
  }
  const uint64_t blocks = sizes.device / kBlock;
  const int error = CallApart([&] { return ioctl(root.get(), kExt4ResizeFs, &blocks) == 0 ? 0 : errno; }, {root.get()});
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, absl::StrCat("cannot grow the filesystem at ", path, " to ", blocks, " blocks"));
}

absl::Status GrowUnmounted(const std::string& device, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const Sizes sizes, Measure(device));
  if (!sizes.differ()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckWhole(device, timeout));
  RETURN_IF_ERROR(SetLabel(device, kGrowingLabel).status());
  RETURN_IF_ERROR(Annotate(RunChecked({"resize2fs", device}, timeout).status(),
                           absl::StrCat("cannot grow the filesystem on ", device)));
  return SetLabel(device, "").status();
}

}  // namespace flocker
