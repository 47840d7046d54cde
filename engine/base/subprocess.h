// Running another program. Not Boost.Process: in Debian's 1.74 its waits with a time limit are built on SIGCHLD and are
// not safe in a process with threads, and it has no pidfd.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/unique_fd.h"

namespace flocker {

struct CommandResult {
  int exit_code = 0;   // 128 + signal when a signal ended it
  std::string output;  // standard output and standard error together
};

// Runs argv[0] (looked up in PATH) to its end; blocks at most `timeout`, then kills it and answers DeadlineExceeded.
// (Longer only where the kernel does not let it end, as in a device that does not answer: it would be there yet.) A
// non-zero exit is a result, not an error. `input`, of at most 4 KiB, is its standard input: what nobody is to see in
// a list of processes. `cpu`: as ChildOptions's.
absl::StatusOr<CommandResult> RunCommand(const std::vector<std::string>& argv, absl::Duration timeout,
                                         const std::string& input = "", absl::Duration cpu = absl::InfiniteDuration());

// The same, but a non-zero exit is an error that quotes the command and its output.
absl::StatusOr<std::string> RunChecked(const std::vector<std::string>& argv, absl::Duration timeout);

// A child that outlives this call. It inherits only descriptors 0-2 (0 from /dev/null) and `keep`, each pair
// {descriptor here, number there}.
struct ChildOptions {
  std::vector<std::string> argv;
  std::vector<std::pair<int, int>> keep;
  int output_fd = -1;        // its standard output and error; -1 means ours
  bool new_session = false;  // setsid: it survives what kills our process group
  // The processor time it may take, in whole seconds, before the kernel kills it, whether we are still there or not.
  absl::Duration cpu = absl::InfiniteDuration();
};
struct Child {
  pid_t pid = -1;
  unique_fd pidfd;  // readable when the child has ended
};
absl::StatusOr<Child> SpawnChild(const ChildOptions& options);

// A pidfd for a process that need not be our child; NotFound when it is gone.
absl::StatusOr<unique_fd> OpenPidfd(pid_t pid);

// Waits until the process behind the pidfd has ended; false when `timeout` passed first. Reaps it when it is our child.
bool WaitEnd(const unique_fd& pidfd, absl::Duration timeout);

}  // namespace flocker
