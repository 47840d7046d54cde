#include "tests/harness/watchdog.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/mountinfo.h"

namespace flocker::testing {

Watchdog::Watchdog(std::string directory, absl::Duration limit)
    : directory_(std::move(directory)), thread_([this, limit] { Run(limit); }) {}

Watchdog::~Watchdog() {
  {
    const MutexLock lock(mutex_);
    disarmed_ = true;
    gone_.NotifyAll();
  }
  thread_.join();
}

void Watchdog::Run(absl::Duration limit) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(limit);
  {
    MutexLock lock(mutex_);
    while (!disarmed_ && gone_.WaitUntil(lock, deadline)) {
    }
    if (disarmed_) return;
  }
  ADD_FAILURE() << "the watchdog aborts every FUSE connection below " << directory_ << " after "
                << absl::FormatDuration(limit);
  const auto mounts = ReadOwnMounts();
  if (!mounts.ok()) {
    ADD_FAILURE() << mounts.status();
    return;
  }
  for (const MountEntry& mount : *mounts) {
    if (!absl::StartsWith(mount.type, "fuse.") || !IsAtOrBelow(mount.mount_point, directory_)) continue;
    const absl::Status aborted = AbortFuseConnection(mount.device);
    EXPECT_TRUE(aborted.ok()) << aborted;
  }
}

}  // namespace flocker::testing
