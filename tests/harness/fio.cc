#include "tests/harness/fio.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker::testing {

Fio::Fio(std::string file, std::string log, int file_mib, int iops, bool direct)
    : file_(std::move(file)), log_(std::move(log)), file_mib_(file_mib) {
  const unique_fd output(open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  ChildOptions options;
  options.argv = {"fio",
                  "--name=verify",
                  absl::StrCat("--filename=", file_),
                  absl::StrCat("--size=", file_mib_, "m"),
                  absl::StrCat("--rate_iops=", iops),
                  "--rw=randwrite",
                  "--bs=4k",
                  "--fallocate=none",
                  "--verify=crc32c",
                  "--verify_fatal=1",
                  "--verify_state_save=0"};
  const std::vector<std::string> mode = direct
                                            ? std::vector<std::string>{"--ioengine=libaio", "--iodepth=8", "--direct=1"}
                                            : std::vector<std::string>{"--ioengine=psync", "--fsync=32"};
  options.argv.insert(options.argv.end(), mode.begin(), mode.end());
  options.output_fd = output.get();
  auto child = SpawnChild(options);
  if (!child.ok()) {
    std::fprintf(stderr, "fio: %s\n", std::string(child.status().message()).c_str());
    std::abort();
  }
  child_ = *std::move(child);
}

Fio::~Fio() {
  if (!child_.pidfd) return;
  syscall(SYS_pidfd_send_signal, child_.pidfd.get(), SIGKILL, nullptr, 0);
  WaitEnd(child_.pidfd, absl::Seconds(10));
}

double Fio::Progress() const {
  struct stat status {};
  if (stat(file_.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_blocks) * 512 / (static_cast<double>(file_mib_) * 1024 * 1024);
}

bool Fio::running() const { return child_.pidfd && !WaitEnd(child_.pidfd, absl::ZeroDuration()); }

absl::Status Fio::Finish(absl::Duration timeout) {
  if (!WaitEnd(child_.pidfd, timeout)) {
    return absl::DeadlineExceededError(absl::StrCat("fio did not end within ", absl::FormatDuration(timeout)));
  }
  child_.pidfd.reset();
  ASSIGN_OR_RETURN(const std::string output, ReadFile(log_));
  if (absl::StrContains(output, "err= 0") && absl::StrContains(output, "READ:")) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("fio failed:\n", output));
}

}  // namespace flocker::testing
