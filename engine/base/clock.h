// The clock for deadlines and time limits.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace flocker {

// A moment on a clock that only goes forward, comparable with nothing but its like. The time of day (absl::Now) is for
// people alone: whoever sets it must neither end a wait nor prolong it.
inline absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace flocker
