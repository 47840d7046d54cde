#include "engine/volume/loop.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "engine/base/apart.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker {
namespace {

constexpr int kAttempts = 64;  // others may take the free device that we were shown before we configure it
constexpr absl::Duration kPollInterval = absl::Milliseconds(1);
constexpr absl::Duration kAttachPatience = absl::Seconds(5);  // far above what an attach takes whose server answers

// The largest request of FUSE is 256 pages (fs/fuse/fuse_i.h, FUSE_MAX_MAX_PAGES); a larger one of the loop's would
// only be cut in two uneven parts.
constexpr uint64_t kMaxSectorsKb = 1024;

std::string Sysfs(int number, absl::string_view attribute) {
  return absl::StrCat("/sys/block/loop", number, "/", attribute);
}

// A sysfs attribute without its newline.
absl::StatusOr<std::string> ReadAttribute(int number, absl::string_view attribute) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(Sysfs(number, attribute)));
  if (absl::EndsWith(text, "\n")) text.pop_back();
  return text;
}

absl::StatusOr<uint64_t> ReadNumber(int number, absl::string_view attribute) {
  ASSIGN_OR_RETURN(const std::string text, ReadAttribute(number, attribute));
  uint64_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) {
    return absl::InternalError(absl::StrCat(Sysfs(number, attribute), " is no number: '", text, "'"));
  }
  return value;
}

// What sysfs tells of an attached device. NotFound when it is not attached.
absl::StatusOr<LoopDevice> Describe(int number) {
  LoopDevice loop;
  loop.number = number;
  ASSIGN_OR_RETURN(loop.sequence, ReadNumber(number, "diskseq"));
  ASSIGN_OR_RETURN(loop.backing_file, ReadAttribute(number, "loop/backing_file"));
  ASSIGN_OR_RETURN(const uint64_t autoclear, ReadNumber(number, "loop/autoclear"));
  loop.autoclear = autoclear != 0;
  ASSIGN_OR_RETURN(const std::string device, ReadAttribute(number, "dev"));
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(device, absl::MaxSplits(':', 1));
  uint32_t major = 0;
  uint32_t minor = 0;
  if (!absl::SimpleAtoi(parts.first, &major) || !absl::SimpleAtoi(parts.second, &minor)) {
    return absl::InternalError(absl::StrCat(Sysfs(number, "dev"), " is no device number: '", device, "'"));
  }
  loop.device = makedev(major, minor);
  return loop;
}

// In the child: the queue stands still for it, until every request under way is done. A device keeps its limit when it
// is detached, and even an idle queue takes some 20 ms to stand still: so it is not set again.
int LimitRequestSize(const char* limit_path) {
  std::array<char, 32> text{};
  const int fd = open(limit_path, O_RDWR | O_CLOEXEC);
  if (fd < 0 || read(fd, text.data(), text.size() - 1) <= 0) return errno;
  if (std::strtoull(text.data(), nullptr, 10) <= kMaxSectorsKb) return 0;
  const char* end = std::to_chars(text.begin(), text.end(), kMaxSectorsKb).ptr;
  return pwrite(fd, text.data(), static_cast<size_t>(end - text.data()), 0) > 0 ? 0 : errno;
}

// The loop driver takes the size from the inode, and on Linux 6.1 (no more on 6.18) does not ask a FUSE server for it:
// a inode of a root that nobody looked at yet says 0, one whose LUN has grown the old size. statx(2) with FORCE_SYNC
// asks. `size`: what the server said.
int LearnSize(int file, uint64_t& size) {
  struct statx learnt {};
  if (statx(file, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, &learnt) != 0) return errno;
  size = learnt.stx_size;
  return 0;
}

// LOOP_SET_CAPACITY until the device has the size that the file's server says. The kernel forgets what it said, without
// a word, when a write to the file ended meanwhile (fs/fuse/inode.c, fuse_change_attributes: attr_version), so that
// under load it takes some tries. For a child: it waits for the server.
int SetCapacity(int device, int file) {
  constexpr int kTries = 2000;
  constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 5'000'000};
  for (int i = 0; i < kTries; ++i) {
    uint64_t wanted = 0;
    uint64_t has = 0;
    if (const int error = LearnSize(file, wanted); error != 0) return error;
    if (ioctl(device, LOOP_SET_CAPACITY, 0) != 0 || ioctl(device, BLKGETSIZE64, &has) != 0) return errno;
    if (has >= wanted) return 0;
    nanosleep(&kPause, nullptr);
  }
  return EAGAIN;
}

// Opens the device if it is the one of that sequence: only held open can its number not change hands any more. A
// descriptor; -1 and errno, ESTALE for another one.
int OpenSame(const char* path, uint64_t sequence) {
  const int device = open(path, O_RDONLY | O_CLOEXEC);
  uint64_t now = 0;
  if (device < 0 || ioctl(device, BLKGETDISKSEQ, &now) != 0) return -1;
  if (now == sequence) return device;
  errno = ESTALE;
  return -1;
}

// Taken while `backing_file` is being attached, and had open for it: a lock of one byte of /dev/loop-control, which
// only root may open, at a place that stands for the path. It is free again when the last process that has it has
// ended. For a child that outlives a killed agent may still be at it, and a file with two devices would be mounted
// through one and proven free on the other.
absl::StatusOr<unique_fd> ClaimAttaching(const std::string& backing_file) {
  unique_fd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) return ErrnoStatus(errno, "cannot open /dev/loop-control (is the loop module loaded?)");
  uint64_t place = 14695981039346656037U;  // FNV-1a: the same in every process
  for (const char byte : backing_file) place = (place ^ static_cast<unsigned char>(byte)) * 1099511628211U;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(place >> 2);
  lock.l_len = 1;
  if (fcntl(control.get(), F_OFD_SETLK, &lock) == 0) return control;
  if (errno != EAGAIN && errno != EACCES) return ErrnoStatus(errno, "cannot lock /dev/loop-control");
  return absl::UnavailableError(absl::StrCat(backing_file, " is being attached by somebody else at this moment"));
}

// LOOP_CONFIGURE, in the caller's child: opening, closing and configuring all ask the file's server, and wait for it
// whatever signal comes.
int Configure(const unique_fd& device, const std::string& backing_file, loop_config& config) {
  const int file = open(backing_file.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return errno;
  uint64_t size = 0;
  if (const int error = LearnSize(file, size); error != 0) return error;
  config.fd = static_cast<uint32_t>(file);
  return ioctl(device.get(), LOOP_CONFIGURE, &config) == 0 ? 0 : errno;
}

// Everything after LOOP_CONFIGURE; when it fails the caller detaches.
absl::StatusOr<LoopDevice> Finish(int number, const std::string& backing_file) {
  ASSIGN_OR_RETURN(const LoopDevice loop, Describe(number));
  // The kernel drops the flag without a word when the file or the block size does not allow it.
  ASSIGN_OR_RETURN(const uint64_t direct, ReadNumber(number, "loop/dio"));
  if (direct != 1) {
    return absl::FailedPreconditionError(absl::StrCat(
        loop.path(), " does no direct I/O on ", backing_file,
        ": its filesystem does not offer it for this block size; a FUSE file must be opened with FOPEN_DIRECT_IO"));
  }
  return loop;
}

}  // namespace

std::string LoopDevice::path() const { return absl::StrCat("/dev/loop", number); }

absl::StatusOr<LoopDevice> AttachLoop(const std::string& backing_file, uint32_t block_size) {
  ASSIGN_OR_RETURN(const unique_fd control, ClaimAttaching(backing_file));
  ASSIGN_OR_RETURN(const auto present, FindLoop(backing_file));
  if (present) {
    return Refuse(Cause::kExists, absl::StrCat(backing_file, " is already attached as ", present->path()));
  }
  loop_config config{};
  config.block_size = block_size;
  config.info.lo_flags = LO_FLAGS_DIRECT_IO;
  // For people with losetup; the kernel keeps 63 bytes of it, so nothing of ours relies on it.
  std::strncpy(reinterpret_cast<char*>(config.info.lo_file_name), backing_file.c_str(), LO_NAME_SIZE - 1);

  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);  // adds a device when all are taken
    if (number < 0) return ErrnoStatus(errno, "the kernel offers no free loop device (LOOP_CTL_GET_FREE)");
    const std::string path = absl::StrCat("/dev/loop", number);
    const unique_fd device(open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!device) return ErrnoStatus(errno, absl::StrCat("cannot open ", path, " (/dev must be a devtmpfs)"));
    const std::string limit = Sysfs(number, "queue/max_sectors_kb");
    const int error = CallApart(
        [&] {
          const int refused = Configure(device, backing_file, config);
          if (refused != 0) return refused;
          const int unlimited = LimitRequestSize(limit.c_str());
          if (unlimited != 0) ioctl(device.get(), LOOP_CLR_FD);
          return unlimited;
        },
        {device.get(), control.get()});
    if (error == EBUSY) continue;
    if (error != 0) {
      return ErrnoStatus(error, absl::StrCat("cannot attach ", backing_file, " to ", path, " with ", block_size,
                                             " byte blocks (LOOP_CONFIGURE)"));
    }
    auto loop = Finish(number, backing_file);
    // The device stays open up to here, so that nobody else can have been given this number in between.
    if (!loop.ok() && ioctl(device.get(), LOOP_CLR_FD) != 0) {
      return Annotate(loop.status(), absl::StrCat(path, " could not be detached again and stays"));
    }
    return loop;
  }
  return Refuse(Cause::kTimeout, absl::StrCat("no loop device for ", backing_file, ": ", kAttempts,
                                              " free ones were taken by others first"));
}

absl::StatusOr<std::vector<LoopDevice>> ListLoops() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/sys/block"), closedir);
  if (!directory) return ErrnoStatus(errno, "cannot list /sys/block");
  std::vector<LoopDevice> loops;
  while (const dirent* entry = readdir(directory.get())) {
    absl::string_view name = entry->d_name;
    int number = 0;
    if (!absl::ConsumePrefix(&name, "loop") || !absl::SimpleAtoi(name, &number)) continue;
    auto loop = Describe(number);
    // ENOENT: not attached. ENXIO, EINVAL, ENODEV: going away this very moment.
    if (!loop.ok() && ErrnoOf(loop.status()) == 0) return loop.status();
    if (loop.ok()) loops.push_back(*std::move(loop));
  }
  return loops;
}

absl::StatusOr<std::optional<LoopDevice>> FindLoop(const std::string& backing_file) {
  ASSIGN_OR_RETURN(std::vector<LoopDevice> loops, ListLoops());
  for (LoopDevice& loop : loops) {
    if (loop.backing_file == backing_file) return std::optional(std::move(loop));
  }
  return std::optional<LoopDevice>();
}

bool IsAttached(const LoopDevice& loop) {
  const auto now = Describe(loop.number);
  return now.ok() && now->sequence == loop.sequence;
}

absl::Status DetachLoop(const LoopDevice& loop, absl::Duration timeout) {
  if (!IsAttached(loop)) return absl::OkStatus();
  const std::string path = loop.path();
  const int error = CallApart([&] {
    const int device = OpenSame(path.c_str(), loop.sequence);
    return device >= 0 && ioctl(device, LOOP_CLR_FD) == 0 ? 0 : errno;
  });
  if (error != 0 && error != ESTALE && error != ENXIO) {
    return ErrnoStatus(error, absl::StrCat("cannot detach ", path, " from ", loop.backing_file));
  }
  // LOOP_CLR_FD takes effect at the last close: ours just now, or that of whoever else has it open or mounted.
  const absl::Time deadline = SteadyNow() + timeout;
  while (IsAttached(loop)) {
    if (SteadyNow() >= deadline) {
      return Refuse(Cause::kBusy, absl::StrCat(loop.path(), " over ", loop.backing_file,
                                               " is still open or mounted somewhere; it detaches when that ends"));
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::OkStatus();
}

absl::Status DetachLoopOver(const std::string& backing_file, absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + kAttachPatience;
  absl::StatusOr<unique_fd> claim = ClaimAttaching(backing_file);
  while (absl::IsUnavailable(claim.status()) && SteadyNow() < deadline) {
    absl::SleepFor(kPollInterval);
    claim = ClaimAttaching(backing_file);
  }
  RETURN_IF_ERROR(claim.status());
  ASSIGN_OR_RETURN(const auto loop, FindLoop(backing_file));
  return loop ? DetachLoop(*loop, timeout) : absl::OkStatus();
}

absl::StatusOr<uint64_t> SizeOf(const LoopDevice& loop) {
  ASSIGN_OR_RETURN(const uint64_t sectors, ReadNumber(loop.number, "size"));
  return sectors * 512;  // whatever its block size is (Linux Documentation/ABI/stable/sysfs-block)
}

absl::StatusOr<LoopIo> IoOf(const LoopDevice& loop) {
  ASSIGN_OR_RETURN(const std::string text, ReadAttribute(loop.number, "stat"));
  if (!IsAttached(loop)) return absl::NotFoundError(absl::StrCat(loop.path(), " is attached to something else now"));
  std::vector<uint64_t> fields;
  for (const auto word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (!absl::SimpleAtoi(word, &fields.emplace_back())) {
      return absl::InternalError(absl::StrCat(Sysfs(loop.number, "stat"), " is not what it was: '", text, "'"));
    }
  }
  // Documentation/block/stat.rst: reads, of them merged, sectors, ms; writes alike; in flight, two times; discards
  // alike.
  constexpr size_t kKnown = 15;
  if (fields.size() < kKnown) {
    return absl::InternalError(absl::StrCat(Sysfs(loop.number, "stat"), " has ", fields.size(), " fields"));
  }
  const auto direction = [&](size_t at) {
    return LoopIo::Direction{.requests = fields[at],
                             .bytes = fields[at + 2] * 512,
                             .time = absl::Milliseconds(static_cast<int64_t>(fields[at + 3]))};
  };
  return LoopIo{.read = direction(0), .write = direction(4), .discard = direction(11), .in_flight = fields[8]};
}

absl::Status GrowLoop(const LoopDevice& loop) {
  const std::string path = loop.path();
  const int error = CallApart([&] {
    const int device = OpenSame(path.c_str(), loop.sequence);
    const int file = device < 0 ? -1 : open(loop.backing_file.c_str(), O_PATH);
    return file < 0 ? errno : SetCapacity(device, file);
  });
  if (error == ESTALE) {
    return Refuse(Cause::kStale, absl::StrCat(path, " is no longer attached to ", loop.backing_file));
  }
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, absl::StrCat("cannot grow ", path, " to the size of ", loop.backing_file));
}

ScopedLoop::~ScopedLoop() {
  if (!loop_) return;
  const absl::Status status = DetachLoop(*loop_, absl::Seconds(5));
  if (!status.ok()) spdlog::error("giving up a loop device: {}", std::string(status.message()));
}

}  // namespace flocker
