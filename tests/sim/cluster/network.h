// The simulated network: places, one-way links between them that can be cut, and pipes: one direction of a TCP
// connection, which keeps its order, holds what is sent while its link is cut, and loses its tail when it breaks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
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
    last_ = std::max(last_, network_.clock().now() + network_.Delay());
    auto line = line_.lock();
    if (line == nullptr) line_ = line = std::make_shared<Line>(Line{network_, from_, to_, {}});
    line->items.push_back({last_, std::move(arrive)});
    if (line->items.size() == 1) Wait(line, last_);
  }
  // What has not arrived never will; what is sent from now on does.
  void LoseTail() {
    if (const auto line = line_.lock()) line->items.clear();
    line_.reset();
  }
  // Nothing arrives any more.
  void Kill() { LoseTail(), dead_ = true; }

 private:
  static constexpr absl::Duration kRetransmit = absl::Milliseconds(100);
  struct Item {
    absl::Duration at;
    std::function<void()> arrive;
  };
  // What is under way, kept by the event that waits for the first of it: it arrives although the ends were closed
  // since, and what never arrives ends with the clock.
  struct Line {
    Network& network;
    Place from;
    Place to;
    std::deque<Item> items;
  };
  static void Wait(const std::shared_ptr<Line>& line, absl::Duration at) {
    Clock& clock = line->network.clock();
    clock.After(std::max(at - clock.now(), absl::ZeroDuration()), [line] { Pump(line); });
  }
  static void Pump(const std::shared_ptr<Line>& line) {
    if (line->items.empty()) return;  // it was lost
    if (!line->network.Passes(line->from, line->to)) return Wait(line, line->network.clock().now() + kRetransmit);
    const auto arrive = std::move(line->items.front().arrive);
    line->items.pop_front();
    if (!line->items.empty()) Wait(line, line->items.front().at);
    arrive();
  }

  Network& network_;
  const Place from_;
  const Place to_;
  absl::Duration last_;
  std::weak_ptr<Line> line_;
  bool dead_ = false;
};

}  // namespace flocker::sim
