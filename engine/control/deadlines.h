// When what is due: finding out costs nothing for all that is not.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace flocker {

// At most one time for each key; times are monotonic, counted from any fixed moment.
template <class Key>
class Deadlines {
 public:
  // In the place of the one that `key` had. InfiniteDuration: none.
  void Set(const Key& key, absl::Duration at) {
    const auto it = of_.find(key);
    if (it != of_.end()) {
      if (it->second == at) return;
      by_time_.erase({it->second, key});
      of_.erase(it);
    }
    if (at == absl::InfiniteDuration()) return;
    of_[key] = at;
    by_time_.emplace(at, key);
  }
  void Erase(const Key& key) { Set(key, absl::InfiniteDuration()); }
  std::optional<absl::Duration> Of(const Key& key) const {
    const auto it = of_.find(key);
    return it == of_.end() ? std::nullopt : std::optional(it->second);
  }
  // Those whose time has come, the earliest first. They have none any more.
  std::vector<Key> TakeDue(absl::Duration now) {
    std::vector<Key> due;
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      due.push_back(by_time_.begin()->second);
      of_.erase(due.back());
      by_time_.erase(by_time_.begin());
    }
    return due;
  }
  // When TakeDue will have something; InfiniteDuration: never.
  absl::Duration Next() const { return by_time_.empty() ? absl::InfiniteDuration() : by_time_.begin()->first; }

 private:
  std::map<Key, absl::Duration> of_;
  std::set<std::pair<absl::Duration, Key>> by_time_;
};

}  // namespace flocker
