// A daemon under test: started, asked to end, killed, started again, its output in a file.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {

class Daemon {
 public:
  // Starts nothing yet. `log` collects the output of all its runs.
  Daemon(std::vector<std::string> argv, std::string log);
  // SIGKILL when it still runs.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Is asked before every start; what it sets takes the place of ours.
  void set_prepare(std::function<void(ChildOptions&)> prepare) { prepare_ = std::move(prepare); }
  // Does not wait for it to be ready.
  absl::Status Start();
  // SIGTERM, and an error when it has not ended within `timeout`.
  absl::Status Stop(absl::Duration timeout = absl::Seconds(10));
  // SIGKILL; returns when it is gone.
  void Kill();

  bool running() const;
  pid_t pid() const { return child_.pid; }
  std::string log() const;

 private:
  const std::vector<std::string> argv_;
  const std::string log_;
  std::function<void(ChildOptions&)> prepare_;
  Child child_;
};

}  // namespace flocker::testing
