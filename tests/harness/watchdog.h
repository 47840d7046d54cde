// For tests that can wedge the machine: ext4 on loop on FUSE whose server is dead or starved hangs whoever syncs it,
// and every sync() of the machine with it.
#pragma once

#include <string>
#include <thread>

#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace flocker::testing {

// Unless it is gone by then, aborts after `limit` the connection of every FUSE mount below `directory`, so that
// whatever waits for one fails instead; that is a test failure. Declare it before what it guards.
class Watchdog {
 public:
  Watchdog(std::string directory, absl::Duration limit);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void Run(absl::Duration limit);

  const std::string directory_;
  Mutex mutex_;
  CondVar gone_;
  bool disarmed_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace flocker::testing
