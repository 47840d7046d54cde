// The simulated network: places, one-way links between them that can be cut, and pipes: one direction of a TCP
// connection, which keeps its order, holds what is sent while its link is cut, and loses its tail when it breaks.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "clock.h"
#include "random.h"

namespace flocker::sim {

using Place = size_t;
constexpr Place kControlPlace = 0;
constexpr Place kArrayPlace = 1;
constexpr Place kFirstNode = 2;

class Network {
 public:
  Network(Clock& clock, Random& random) : clock_(clock), random_(random) {}

  bool Passes(Place from, Place to) const { return !cut_.contains({from, to}); }
  void Cut(Place from, Place to) { cut_.insert({from, to}); }
  void Heal(Place from, Place to) { cut_.erase({from, to}); }
  void set_slow(bool slow) { slow_ = slow; }
  void HealAll() { cut_.clear(), slow_ = false; }
  absl::Duration Delay() {
    if (slow_) return random_.Between(absl::Milliseconds(1), absl::Milliseconds(400));
    return random_.Between(absl::Microseconds(50), absl::Milliseconds(2));
  }
  Clock& clock() { return clock_; }

 private:
  Clock& clock_;
  Random& random_;
  std::set<std::pair<Place, Place>> cut_;
  bool slow_ = false;
};

class Pipe {
 public:
  Pipe(Network& network, Place from, Place to) : network_(network), from_(from), to_(to) {}
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void Send(std::function<void()> arrive) {
    if (dead_) return;
    const absl::Duration at = std::max(last_, network_.clock().now() + network_.Delay());
    last_ = at;
    items_.push_back({at, std::move(arrive)});
    if (items_.size() == 1) Wait(at);
  }
  // What has not arrived never will; what is sent from now on does.
  void LoseTail() { items_.clear(), life_.End(); }
  // Nothing arrives any more.
  void Kill() { LoseTail(), dead_ = true; }

 private:
  static constexpr absl::Duration kRetransmit = absl::Milliseconds(100);
  struct Item {
    absl::Duration at;
    std::function<void()> arrive;
  };
  void Wait(absl::Duration at) {
    network_.clock().After(life_, std::max(at - network_.clock().now(), absl::ZeroDuration()), [this] { Pump(); });
  }
  void Pump() {
    if (!network_.Passes(from_, to_)) return Wait(network_.clock().now() + kRetransmit);
    const auto arrive = std::move(items_.front().arrive);
    items_.pop_front();
    if (!items_.empty()) Wait(items_.front().at);
    arrive();  // last: it may be the end of this pipe
  }

  Network& network_;
  const Place from_;
  const Place to_;
  Life life_;
  absl::Duration last_;
  std::deque<Item> items_;  // the first is being waited for
  bool dead_ = false;
};

}  // namespace flocker::sim
