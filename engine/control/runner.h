// The one thread the controller lives on: whoever has something for it posts a task; after each round of tasks the
// controller flushes. A commit that fails ends the round for good: nothing may act on a state that is not on disk.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/control/controller.h"

namespace flocker {

// Monotonic time since some moment before the process began.
absl::Duration MonotonicNow();

class Runner {
 public:
  using Task = std::function<void(Controller&, absl::Duration now)>;

  // Any thread; returns at once. Tasks run in the order they were posted.
  void Post(Task task);
  // After every flush, on the controller's thread.
  void OnFlushed(std::function<void(Controller&)> flushed) { flushed_ = std::move(flushed); }
  // Runs until Stop, or until a commit fails, which is the error returned.
  absl::Status Run(Controller& controller);
  void Stop();

 private:
  std::function<void(Controller&)> flushed_;  // constant once Run is called
  Mutex mutex_;
  CondVar wake_;
  std::vector<Task> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace flocker
