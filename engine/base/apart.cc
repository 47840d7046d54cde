#include "engine/base/apart.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

namespace flocker {
namespace {

void CloseAllBut(int keep) {
  constexpr unsigned kFirst = 3;
  if (keep < static_cast<int>(kFirst)) {
    close_range(kFirst, UINT_MAX, 0);
    return;
  }
  const auto kept = static_cast<unsigned>(keep);
  if (kept > kFirst) close_range(kFirst, kept - 1, 0);
  close_range(kept + 1, UINT_MAX, 0);
}

}  // namespace

int CallApart(absl::FunctionRef<int()> call, int keep) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(ECANCELED);
    CloseAllBut(keep);
    _exit(call());
  }
  int status = 0;
  while (waitpid(child, &status, 0) != child) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
}

}  // namespace flocker
