// Whether the array answers, for monitors: it is asked when somebody wants to know, and not oftener than every 2 s.
#pragma once

#include <string>
#include <thread>

#include "absl/time/time.h"
#include "engine/array/array.h"
#include "engine/base/mutex.h"

namespace flocker {

class ArrayProbe {
 public:
  // `array` must outlive this.
  explicit ArrayProbe(Array& array);
  // Waits for a question that is under way: as long as the array's driver lets one take.
  ~ArrayProbe();
  ArrayProbe(const ArrayProbe&) = delete;
  ArrayProbe& operator=(const ArrayProbe&) = delete;

  // Why the array cannot be told anything, as it was when it was asked last; empty when it can, or was never asked. Has
  // it asked again. Does not block; any thread.
  std::string Error() EXCLUDES(mutex_);

 private:
  void Run() EXCLUDES(mutex_);

  Array& array_;
  Mutex mutex_;
  CondVar wake_;
  bool asking_ GUARDED_BY(mutex_) = false;                                  // since asked_at_
  absl::Duration asked_at_ GUARDED_BY(mutex_) = -absl::InfiniteDuration();  // by MonotonicNow
  std::string error_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace flocker
