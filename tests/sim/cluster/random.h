// The one source of chance of a history: everything that may vary is drawn here, in the order of events, so that a seed
// is the whole history.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace flocker::sim {

class Random {
 public:
  // Drawn once from the seed itself, so that neighbouring seeds do not walk the same numbers one step apart.
  explicit Random(uint64_t seed) : state_(seed) { state_ = Next(); }

  // SplitMix64 (Steele, Lea, Flood 2014): the same numbers with every library and compiler.
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool Percent(uint64_t chance) { return Below(100) < chance; }
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    const int64_t span = absl::ToInt64Microseconds(high - low);
    return low + absl::Microseconds(static_cast<int64_t>(Below(static_cast<uint64_t>(span) + 1)));
  }
  std::string Hex(size_t bytes) {
    std::string text;
    for (size_t i = 0; i < 2 * bytes; ++i) text += "0123456789abcdef"[Below(16)];
    return text;
  }
  template <class T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace flocker::sim
