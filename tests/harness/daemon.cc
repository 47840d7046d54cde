#include "tests/harness/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {
namespace {

// By the pidfd: never another process that has the id by now.
void Signal(const unique_fd& pidfd, int signal) { syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0); }

}  // namespace

Daemon::Daemon(std::vector<std::string> argv, std::string log) : argv_(std::move(argv)), log_(std::move(log)) {}

Daemon::~Daemon() { Kill(); }

absl::Status Daemon::Start() {
  const unique_fd output(open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!output) return ErrnoStatus(errno, absl::StrCat("cannot open ", log_));
  ChildOptions options;
  options.argv = argv_;
  options.output_fd = output.get();
  options.new_session = true;
  if (prepare_) prepare_(options);
  ASSIGN_OR_RETURN(child_, SpawnChild(options));
  return absl::OkStatus();
}

absl::Status Daemon::Stop(absl::Duration timeout) {
  if (!running()) return absl::OkStatus();
  Signal(child_.pidfd, SIGTERM);
  if (!WaitEnd(child_.pidfd, timeout)) {
    return absl::DeadlineExceededError(
        absl::StrCat(argv_[0], " did not end within ", absl::FormatDuration(timeout), " of a SIGTERM"));
  }
  child_.pidfd.reset();
  return absl::OkStatus();
}

void Daemon::Kill() {
  if (!child_.pidfd) return;
  Signal(child_.pidfd, SIGKILL);
  WaitEnd(child_.pidfd, absl::Seconds(10));
  child_.pidfd.reset();
}

bool Daemon::running() const { return child_.pidfd && !WaitEnd(child_.pidfd, absl::ZeroDuration()); }

std::string Daemon::log() const {
  const auto text = ReadFile(log_);
  return text.ok() ? *text : std::string(text.status().message());
}

}  // namespace flocker::testing
