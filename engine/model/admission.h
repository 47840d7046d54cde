// Whether the pool may promise one more dataset (DESIGN §2: ENOSPC "not admitted").
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace flocker {

// A pool of an array, in bytes.
struct PoolCapacity {
  uint64_t total = 0;
  uint64_t free = 0;
  bool operator==(const PoolCapacity&) const = default;
};

// OK, or kNoSpace with the figures. `promised` is the sum of all sizes given out so far, `request` what a creation or
// growth would add, both in bytes; LUNs are thin, so promises may reach `overcommit` times the pool. Nothing is
// admitted while less than the share `pool_reserve` (0 to 1) of the pool is free: writers that are there already need
// it.
absl::Status Admit(uint64_t promised, uint64_t request, const PoolCapacity& pool, double overcommit = 10,
                   double pool_reserve = 0.05);

}  // namespace flocker
