// Keeps a storm of equal errors from becoming a storm of log lines, which would slow the I/O that fails.
#pragma once

#include <chrono>
#include <cstdint>

namespace flocker::lun {

class LogBudget {
 public:
  // Whether a line may be written now; five in a second at most.
  bool Allow(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now()) {
    if (now - start_ >= std::chrono::seconds(1)) {
      start_ = now;
      left_ = kLinesPerSecond;
    }
    if (left_ == 0) {
      ++suppressed_;
      return false;
    }
    --left_;
    return true;
  }
  // How many lines were not written since the last call.
  uint64_t TakeSuppressed() {
    const uint64_t n = suppressed_;
    suppressed_ = 0;
    return n;
  }

 private:
  static constexpr uint32_t kLinesPerSecond = 5;
  std::chrono::steady_clock::time_point start_;
  uint32_t left_ = 0;
  uint64_t suppressed_ = 0;
};

}  // namespace flocker::lun
