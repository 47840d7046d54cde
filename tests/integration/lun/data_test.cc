// Data through the file: what is written is read, flushed, zeroed; nothing else.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/integration/lun/lun_rig.h"

namespace flocker::lun::testing {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::string Pattern(size_t size, char seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>(seed + static_cast<char>(i / 512) * 7 + static_cast<char>(i));
  return text;
}

std::string ReadAt(int fd, uint64_t offset, size_t size) {
  std::string text(size, '?');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(fd, text.data() + done, std::min(size - done, kMiB / 2), static_cast<off_t>(offset + done));
    EXPECT_GT(got, 0) << strerror(errno);
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return text;
}

// In pieces: a buffer that is not aligned to a page needs one page more than a request of the kernel's may have.
void WriteAt(int fd, const std::string& text, uint64_t offset) {
  constexpr size_t kPiece = kMiB / 2;
  for (size_t done = 0; done < text.size(); done += kPiece) {
    const size_t size = std::min(kPiece, text.size() - done);
    ASSERT_EQ(pwrite(fd, text.data() + done, size, static_cast<off_t>(offset + done)), static_cast<ssize_t>(size))
        << strerror(errno);
  }
}

unique_fd OpenFile(const LunRig& rig) {
  unique_fd fd(open(rig.file().c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(fd.valid()) << strerror(errno);
  return fd;
}

int64_t Allocated(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(stat(path.c_str(), &st), 0);
  return st.st_blocks * 512;
}

TEST(LunData, TheFileIsTheLun) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  struct stat st {};
  ASSERT_EQ(stat(rig.file().c_str(), &st), 0);
  EXPECT_TRUE(S_ISREG(st.st_mode));
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), kLunSize);
  const std::string mounts = ReadFile("/proc/self/mountinfo").value_or("");
  EXPECT_TRUE(absl::StrContains(mounts, absl::StrCat("fuse.flocker-lun flocker-lun:", kDataset))) << mounts;
  const std::string arguments = ReadFile(absl::StrCat("/proc/", rig.pid(), "/cmdline")).value_or("");
  EXPECT_TRUE(absl::StrContains(arguments, "alpha"));

  const unique_fd fd = OpenFile(rig);
  const std::string written = Pattern(3 * kMiB + 512, 'a');  // more than one request, not a multiple of one
  ASSERT_NO_FATAL_FAILURE(WriteAt(fd.get(), written, 5 * 512));
  EXPECT_EQ(ReadAt(fd.get(), 5 * 512, written.size()), written);
  const unique_fd backing(open(rig.backing().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(ReadAt(backing.get(), 5 * 512, written.size()), written);
}

TEST(LunData, ManyInFlightVerify) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto fio =
      RunCommand({"fio", "--name=v", absl::StrCat("--filename=", rig.file()), "--ioengine=libaio", "--direct=1",
                  "--iodepth=64", "--rw=randwrite", "--bsrange=512-1M", "--bs_unaligned=0", "--blockalign=512",
                  "--size=96M", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--fsync=64"},
                 absl::Seconds(80));
  ASSERT_TRUE(fio.ok()) << fio.status();
  EXPECT_EQ(fio->exit_code, 0) << fio->output;
}

TEST(LunData, LockedMemoryStaysUnderThirtyTwoMiB) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto fio = RunCommand({"fio", "--name=v", absl::StrCat("--filename=", rig.file()), "--ioengine=libaio",
                               "--direct=1", "--iodepth=64", "--rw=randrw", "--bs=1M", "--size=128M"},
                              absl::Seconds(80));
  ASSERT_TRUE(fio.ok() && fio->exit_code == 0) << fio.status() << fio->output;
  const std::string status = ReadFile(absl::StrCat("/proc/", rig.pid(), "/status")).value_or("");
  const size_t at = status.find("VmLck:");
  ASSERT_NE(at, std::string::npos);
  const int64_t locked = std::strtoll(status.c_str() + at + 6, nullptr, 10);
  RecordProperty("VmLck_kB", static_cast<int>(locked));
  EXPECT_GT(locked, 16 * 1024);
  EXPECT_LE(locked, 32 * 1024);
}

TEST(LunData, FsyncReachesTheBackingFile) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const flocker::testing::ScratchDir scratch;
  const std::string trace = scratch / "trace";
  ChildOptions options;
  options.argv = {"strace", "-f", "-e", "trace=fdatasync,fsync", "-o", trace, "-p", absl::StrCat(rig.tgtd().pid())};
  auto strace = SpawnChild(options);
  ASSERT_TRUE(strace.ok());
  // Every thread of tgtd, or the sync may happen in one that is not traced yet.
  EXPECT_TRUE(Eventually([&] {
    const auto untraced =
        RunCommand({"sh", "-c", absl::StrCat("grep -L 'TracerPid:\t[1-9]' /proc/", rig.tgtd().pid(), "/task/*/status")},
                   absl::Seconds(5));
    return untraced.ok() && untraced->output.empty();
  }));
  const unique_fd fd = OpenFile(rig);
  const std::string written = Pattern(4096, 'f');
  EXPECT_EQ(pwrite(fd.get(), written.data(), written.size(), 0), 4096);
  EXPECT_EQ(fsync(fd.get()), 0);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(ReadFile(trace).value_or(""), "sync("); }));
  kill(strace->pid, SIGTERM);
  EXPECT_TRUE(WaitEnd(strace->pidfd, absl::Seconds(10)));
}

TEST(LunData, DiscardFreesWholeGranulesAndZeroesAll) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const unique_fd fd = OpenFile(rig);
  const std::string written = Pattern(8 * kMiB, 'd');
  ASSERT_NO_FATAL_FAILURE(WriteAt(fd.get(), written, 0));
  ASSERT_EQ(fsync(fd.get()), 0);
  const int64_t before = Allocated(rig.backing());
  // Blocks 3 to 12000: neither end is on a granule of 4 KiB.
  const uint64_t from = 3 * 512;
  const uint64_t to = 12001 * 512;
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                      static_cast<off_t>(to - from)),
            0)
      << strerror(errno);
  std::string expected = written;
  std::fill(expected.begin() + static_cast<ptrdiff_t>(from), expected.begin() + static_cast<ptrdiff_t>(to), '\0');
  EXPECT_TRUE(ReadAt(fd.get(), 0, expected.size()) == expected);
  EXPECT_LE(Allocated(rig.backing()), before - static_cast<int64_t>(5 * kMiB));

  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 12001 * 512, 512), 0) << strerror(errno);
  std::fill(expected.begin() + 12001 * 512, expected.begin() + 12002 * 512, '\0');
  EXPECT_TRUE(ReadAt(fd.get(), 0, expected.size()) == expected);
  // All of it, longer than the LUN.
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, off_t{2} << 30), 0) << strerror(errno);
  EXPECT_EQ(Allocated(rig.backing()), 0);
}

TEST(LunData, RefusesWhatABlockDeviceCannotDo) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const unique_fd fd = OpenFile(rig);
  const std::string block(1024, 'x');
  EXPECT_EQ(pwrite(fd.get(), block.data(), 100, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(pwrite(fd.get(), block.data(), 512, 100), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(pwrite(fd.get(), block.data(), 512, kLunSize), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(pwrite(fd.get(), block.data(), 1024, kLunSize - 512), 512);
  std::string back(1024, '?');
  EXPECT_EQ(pread(fd.get(), back.data(), 1024, kLunSize - 512), 512);
  EXPECT_EQ(pread(fd.get(), back.data(), 1024, kLunSize), 0);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 4096), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 512), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(ftruncate(fd.get(), 4096), -1);
  EXPECT_EQ(errno, EPERM);
}

}  // namespace
}  // namespace flocker::lun::testing
