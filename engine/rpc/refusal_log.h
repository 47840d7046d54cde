// What is said about who was turned away: strangers decide how often they come, but not how much is written about it.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace flocker {

class RefusalLog {
 public:
  // A warning in the log; the same text once a minute, and no more than kTexts of them. Thread-safe.
  void Say(const std::string& text);

  // Whether `text` is to be said at `now`, which never goes back; pure but for what it remembers.
  bool IsNews(const std::string& text, absl::Time now);

  static constexpr size_t kTexts = 100;

 private:
  Mutex mutex_;
  std::map<std::string, absl::Time> said_ GUARDED_BY(mutex_);
};

}  // namespace flocker
