// Simulated time: a queue of events, run one after the other in the order of their moments.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace flocker::sim {

// What ends when its owner does: events bound to a life that is over do nothing.
class Life {
 public:
  std::weak_ptr<char> token() const { return token_; }
  void End() { token_ = std::make_shared<char>(); }

 private:
  std::shared_ptr<char> token_ = std::make_shared<char>();
};

class Clock {
 public:
  using Event = std::function<void()>;

  absl::Duration now() const { return now_; }
  void After(absl::Duration delay, Event event) { queue_.push({now_ + delay, next_++, std::move(event)}); }
  void After(const Life& life, absl::Duration delay, Event event) {
    After(delay, [token = life.token(), event = std::move(event)] {
      if (!token.expired()) event();
    });
  }
  // Runs the next event; false when there is none.
  bool Step() {
    if (queue_.empty()) return false;
    now_ = queue_.top().at;
    // The queue is ordered by the two numbers alone, so what a top holds besides them may be moved out.
    const Event event = std::move(const_cast<Item&>(queue_.top()).event);
    queue_.pop();
    ++steps_;
    event();
    return true;
  }
  uint64_t steps() const { return steps_; }

 private:
  struct Item {
    absl::Duration at;
    uint64_t number;  // those of one moment run in the order they were made
    Event event;
    bool operator<(const Item& other) const { return at != other.at ? at > other.at : number > other.number; }
  };
  absl::Duration now_ = absl::Seconds(1000);  // a machine is never at 0; code must not take 0 for a moment
  uint64_t next_ = 0;
  uint64_t steps_ = 0;
  std::priority_queue<Item> queue_;
};

}  // namespace flocker::sim
