#include "lab/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::lab {

absl::Status Process::Start(const std::vector<std::string>& argv, const std::string& log) {
  Kill();
  const unique_fd output(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!output) return ErrnoStatus(errno, absl::StrCat("cannot open ", log));
  ChildOptions options;
  options.argv = {"setpriv", "--pdeathsig", "KILL", "--"};
  options.argv.insert(options.argv.end(), argv.begin(), argv.end());
  options.output_fd = output.get();
  options.new_session = true;  // a terminal's ^C is for us alone: we end them in order
  ASSIGN_OR_RETURN(child_, SpawnChild(options));
  return absl::OkStatus();
}

void Process::Kill() {
  if (!child_.pidfd) return;
  syscall(SYS_pidfd_send_signal, child_.pidfd.get(), SIGKILL, nullptr, 0);
  WaitEnd(absl::Seconds(30));
  child_.pidfd.reset();
}

bool Process::WaitEnd(absl::Duration timeout) { return !child_.pidfd || flocker::WaitEnd(child_.pidfd, timeout); }

bool Process::running() const { return child_.pidfd && !flocker::WaitEnd(child_.pidfd, absl::ZeroDuration()); }

}  // namespace flocker::lab
