#include "fusefs/deadlines.h"

#include <chrono>
#include <utility>

namespace flocker {

Deadlines::Deadlines() : thread_([this] { Run(); }) {}

void Deadlines::After(absl::Duration delay, Task task) {
  const auto time = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(delay);
  MutexLock lock(mutex_);
  if (stopping_) return;
  tasks_.emplace(time, std::move(task));
  changed_.NotifyOne();
}

void Deadlines::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
  MutexLock lock(mutex_);
  tasks_.clear();
}

void Deadlines::Run() {
  while (true) {
    Task task;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && (tasks_.empty() || tasks_.begin()->first > std::chrono::steady_clock::now())) {
        if (tasks_.empty()) {
          changed_.Wait(lock);
        } else {
          const auto next = tasks_.begin()->first;
          changed_.WaitUntil(lock, next);
        }
      }
      if (stopping_) return;
      task = std::move(tasks_.extract(tasks_.begin()).mapped());
    }
    task();
  }
}

}  // namespace flocker
