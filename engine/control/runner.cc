#include "engine/control/runner.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/status.h"

namespace flocker {

absl::Duration MonotonicNow() { return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); }

void Runner::Post(Task task) {
  const MutexLock lock(mutex_);
  tasks_.push_back(std::move(task));
  wake_.NotifyOne();
}

void Runner::Stop() {
  const MutexLock lock(mutex_);
  stopping_ = true;
  wake_.NotifyOne();
}

absl::Status Runner::Run(Controller& controller) {
  while (true) {
    std::vector<Task> tasks;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !stopping_) {
        const absl::Duration left =
            std::clamp(controller.NextTick() - MonotonicNow(), absl::ZeroDuration(), absl::Hours(1));
        if (!wake_.WaitUntil(lock, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(left))) break;
      }
      if (stopping_) return absl::OkStatus();
      tasks.swap(tasks_);
    }
    const absl::Duration now = MonotonicNow();
    for (const Task& task : tasks) task(controller, now);
    if (now >= controller.NextTick()) controller.OnTick(now);
    RETURN_IF_ERROR(controller.Flush(now));
    if (flushed_) flushed_(controller);
  }
}

}  // namespace flocker
