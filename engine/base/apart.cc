#include "engine/base/apart.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <vector>

namespace flocker {
namespace {

// `keep`: in ascending order.
void CloseAllBut(absl::Span<const int> keep) {
  unsigned from = 3;
  for (const int kept : keep) {
    const auto number = static_cast<unsigned>(kept);
    if (number < from) continue;
    if (number > from) close_range(from, number - 1, 0);
    from = number + 1;
  }
  close_range(from, UINT_MAX, 0);
}

}  // namespace

int CallApart(absl::FunctionRef<int()> call, absl::Span<const int> keep) {
  std::vector<int> kept(keep.begin(), keep.end());
  std::sort(kept.begin(), kept.end());
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(ECANCELED);
    CloseAllBut(kept);
    _exit(call());
  }
  int status = 0;
  while (waitpid(child, &status, 0) != child) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
}

}  // namespace flocker
