// A pool whose writes can be stopped for real: an ext4 of its own on a loop device, frozen by the kernel (FIFREEZE).
// Every write into it waits until it thaws, as it would for a dead disk.
#pragma once

#include <string>

#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/scratch.h"

namespace flocker::testing {

class FrozenPool {
 public:
  FrozenPool();
  // Thaws and unmounts. Whoever still has files open there must have ended.
  ~FrozenPool();
  FrozenPool(const FrozenPool&) = delete;
  FrozenPool& operator=(const FrozenPool&) = delete;

  const std::string& path() const { return path_; }
  void Freeze();
  void Thaw();

 private:
  const ScratchDir scratch_;
  const std::string path_;
  unique_fd lifeline_;  // when the test process dies, its reader thaws and unmounts
  Child watchdog_;
};

}  // namespace flocker::testing
