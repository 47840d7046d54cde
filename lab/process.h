// A process of the lab's (QEMU, nbdkit) that cannot outlive it: ended with its owner, and by the kernel when this whole
// process dies, however it dies (PR_SET_PDEATHSIG, through setpriv).
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/subprocess.h"

namespace flocker::lab {

class Process {
 public:
  Process() = default;
  ~Process() { Kill(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Starts argv with its output appended to `log`. The parent-death signal belongs to the thread that calls: call from
  // one that lives as long as the process should (prctl(2)).
  absl::Status Start(const std::vector<std::string>& argv, const std::string& log);
  // SIGKILL; returns when it is gone. Nothing when it does not run.
  void Kill();
  // Whether it ended by itself within `timeout`.
  bool WaitEnd(absl::Duration timeout);
  bool running() const;
  pid_t pid() const { return child_.pid; }

 private:
  Child child_;
};

}  // namespace flocker::lab
