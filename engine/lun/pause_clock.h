// How long requests may wait before they fail.
#pragma once

#include <chrono>
#include <optional>

namespace flocker::lun {

using Clock = std::chrono::steady_clock;

// The io_timeout clock: runs from the moment requests have to wait, stands still while control is away (nobody could
// renew the grant), and starts again from zero when control is back.
class PauseClock {
 public:
  explicit PauseClock(Clock::duration limit) : limit_(limit) {}

  // A running clock goes on.
  void Start(Clock::time_point now) {
    if (!since_) since_ = counted_from_ = now;
  }
  void Stop() { since_.reset(); }
  void ControlAway() { away_ = true; }
  void ControlBack(Clock::time_point now) {
    if (away_) counted_from_ = now;
    away_ = false;
  }

  std::optional<Clock::time_point> deadline() const {
    if (!since_ || away_) return std::nullopt;
    return counted_from_ + limit_;
  }
  // Since Start, control's absence included; zero while it does not run.
  Clock::duration paused(Clock::time_point now) const { return since_ ? now - *since_ : Clock::duration::zero(); }

 private:
  Clock::duration limit_;
  std::optional<Clock::time_point> since_;
  Clock::time_point counted_from_;
  bool away_ = false;
};

}  // namespace flocker::lun
