#include "engine/lun/file_face.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "engine/lun/arena.h"

namespace flocker::lun {
namespace {

constexpr uint64_t kInode = 1;
constexpr uint32_t kBlockHint = 4096;
// 7.28 has max_pages (Linux 4.20); 7.36 has flags2.
constexpr uint32_t kLeastMinor = 28;

template <class T>
FileAnswer With(const T& body) {
  FileAnswer answer;
  static_assert(sizeof body <= sizeof answer.bytes);
  std::memcpy(answer.bytes.data(), &body, sizeof body);
  answer.size = sizeof body;
  return answer;
}

FileAnswer Error(int error) {
  FileAnswer answer;
  answer.error = error;
  return answer;
}

FileAnswer Attributes(const Geometry& geometry) {
  fuse_attr_out out{};
  out.attr.ino = kInode;
  out.attr.size = geometry.size();
  out.attr.blocks = geometry.size() / 512;
  out.attr.mode = S_IFREG | S_IRUSR | S_IWUSR;
  out.attr.nlink = 1;
  out.attr.blksize = kBlockHint;
  return With(out);
}

FileAnswer Init(std::span<const std::byte> raw, uint16_t max_background) {
  // Kernels before 7.36 send a shorter body, so only the fields of the first version are read.
  constexpr size_t kShortBody = offsetof(fuse_init_in, flags2);
  fuse_init_in in{};
  if (raw.size() < sizeof(fuse_in_header) + kShortBody) return Error(EPROTO);
  std::memcpy(&in, raw.data() + sizeof(fuse_in_header), kShortBody);
  if (in.major != FUSE_KERNEL_VERSION || in.minor < kLeastMinor) return Error(EPROTO);
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  out.max_readahead = in.max_readahead;
  out.flags = in.flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES);
  out.max_background = max_background;
  out.congestion_threshold = max_background;
  out.max_write = kMaxTransfer;
  out.time_gran = 1;
  out.max_pages = kMaxTransfer / 4096;
  return With(out);
}

FileAnswer SetAttributes(std::span<const std::byte> raw, const Geometry& geometry) {
  fuse_setattr_in in;
  if (raw.size() < sizeof(fuse_in_header) + sizeof in) return Error(EINVAL);
  std::memcpy(&in, raw.data() + sizeof(fuse_in_header), sizeof in);
  constexpr uint32_t kOwned = FATTR_MODE | FATTR_UID | FATTR_GID;
  if ((in.valid & kOwned) != 0 || ((in.valid & FATTR_SIZE) != 0 && in.size != geometry.size())) return Error(EPERM);
  return Attributes(geometry);  // times are not kept
}

}  // namespace

FileAnswer AnswerOf(const FuseRequest& request, std::span<const std::byte> raw, const Geometry& geometry,
                    uint16_t max_background) {
  switch (request.opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FSYNC:
    case FUSE_FALLOCATE: {
      FileAnswer answer;
      answer.kind = FileAnswer::Kind::kNeedsLun;
      return answer;
    }
    case FUSE_INIT:
      return Init(raw, max_background);
    case FUSE_GETATTR:
      return Attributes(geometry);
    case FUSE_SETATTR:
      return SetAttributes(raw, geometry);
    case FUSE_OPEN: {
      fuse_open_out out{};
      // No page cache of the file's own: the loop device's is enough, and O_DIRECT reaches the LUN. No FLUSH
      // (Linux 5.16): close(2) would wait for us, and one that happens in the execve of our own successor would wait
      // for ever.
      out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH;
      return With(out);
    }
    case FUSE_STATFS: {
      fuse_statfs_out out{};
      out.st.bsize = out.st.frsize = kBlockHint;
      out.st.blocks = geometry.size() / kBlockHint;
      out.st.files = 1;
      return With(out);
    }
    case FUSE_RELEASE:
    case FUSE_DESTROY:
      return {};
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:  // a command at the LUN cannot be taken back; its request is answered when it ends
    {
      FileAnswer answer;
      answer.kind = FileAnswer::Kind::kSilence;
      return answer;
    }
    default:
      return Error(ENOSYS);  // the kernel remembers that and stops asking
  }
}

}  // namespace flocker::lun
