// Things to be done later, on one thread of their own.
#pragma once

#include <map>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace flocker {

// Runs each task at its time or as soon after as the tasks before it allow; tasks must not block. Tasks are never
// withdrawn: one whose reason has gone finds nothing to do.
class Deadlines {
 public:
  Deadlines();
  ~Deadlines() { Stop(); }
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  using Task = absl::AnyInvocable<void()>;
  void After(absl::Duration delay, Task task);
  // Soon, and never on the caller's thread: for callers that hold locks a task may want.
  void Soon(Task task) { After(absl::ZeroDuration(), std::move(task)); }

  // Ends the thread; tasks whose time has not come are dropped. Blocks for the task that is running.
  void Stop();

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::multimap<std::chrono::steady_clock::time_point, Task> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace flocker
