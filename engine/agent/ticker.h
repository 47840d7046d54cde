// A thread that calls something at once and then again and again.
#pragma once

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace flocker {

class Ticker {
 public:
  // `pause` lies between the end of a call and the next.
  Ticker(absl::Duration pause, std::function<void()> tick);
  // Waits for a call under way.
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  void Run();

  const absl::Duration pause_;
  const std::function<void()> tick_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace flocker
