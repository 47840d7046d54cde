#include "tests/bench/flush_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/daemon.h"
#include "tests/harness/wait.h"

namespace flocker::bench {
namespace {

constexpr int kFlushes = 10;
constexpr size_t kBlock = 4096;

bool TracedWhole(pid_t process) {
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", process, "/task"), error)) {
    const std::string status = ReadFile(task.path() / "status").value_or("");
    if (absl::StrContains(status, "TracerPid:\t0\n")) return false;
  }
  return !error;
}

absl::Status WriteAndSync(const std::string& file) {
  const unique_fd fd(open(file.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", file));
  const std::unique_ptr<void, decltype(&std::free)> block(std::aligned_alloc(kBlock, kBlock), &std::free);
  if (pread(fd.get(), block.get(), kBlock, 0) != kBlock) return ErrnoStatus(errno, absl::StrCat("cannot read ", file));
  for (int i = 0; i < kFlushes; ++i) {
    if (pwrite(fd.get(), block.get(), kBlock, 0) != kBlock || fsync(fd.get()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("cannot write and sync ", file));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckFlushes(const std::string& file, pid_t array, const std::string& log) {
  testing::Daemon strace({"strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-o", log, "-p", absl::StrCat(array)},
                         log + ".strace");
  RETURN_IF_ERROR(strace.Start());
  if (!testing::Eventually(absl::Seconds(10), [&] { return TracedWhole(array); })) {
    return absl::UnavailableError(absl::StrCat("strace cannot watch the array: ", strace.log()));
  }
  RETURN_IF_ERROR(WriteAndSync(file));
  RETURN_IF_ERROR(strace.Stop());
  ASSIGN_OR_RETURN(const std::string seen, ReadFile(log));
  int syncs = 0;
  for (const auto line : absl::StrSplit(seen, '\n')) {
    if (absl::StrContains(line, "sync(") || absl::StrContains(line, "sync resumed")) ++syncs;
  }
  if (syncs < kFlushes) {
    return absl::DataLossError(absl::StrCat(kFlushes, " writes to ", file,
                                            " were synced, and the array synced its file ", syncs,
                                            " times: what it says to have written may be lost"));
  }
  return absl::OkStatus();
}

}  // namespace flocker::bench
