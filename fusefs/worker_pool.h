// Threads that may block in a filesystem.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace flocker {

// Counts the live threads of every pool, so that the daemon ends after them.
class WorkerThreads {
 public:
  WorkerThreads() = default;
  // Waits for all of them, however long: their pools must be gone.
  ~WorkerThreads();
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;

  // False when some are still there after `timeout`: stuck in a device that does not answer.
  bool WaitUntilNone(absl::Duration timeout) EXCLUDES(mutex_);

 private:
  friend class WorkerPool;
  void Add();
  void Remove();

  Mutex mutex_;
  CondVar changed_;
  size_t count_ GUARDED_BY(mutex_) = 0;
};

// Each attachment has one: a paused LUN blocks its own threads and nobody else's. Threads come with the work, up to
// `max`, and go after `idle` without any.
class WorkerPool {
 public:
  using Task = absl::AnyInvocable<void()>;
  WorkerPool(WorkerThreads& threads, size_t max, absl::Duration idle);
  // Never blocks: what was submitted is still done, by threads that end then.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Never blocks. A task is destroyed undone only when not a single thread can be started.
  void Submit(Task task);

  class Kept;

 private:
  struct State {
    State(WorkerThreads& worker_threads, size_t max_threads, absl::Duration idle_time)
        : threads(worker_threads), max(max_threads), idle(idle_time) {}
    WorkerThreads& threads;
    const size_t max;
    const absl::Duration idle;
    Mutex mutex;
    CondVar changed;
    std::deque<Task> queue GUARDED_BY(mutex);
    size_t running GUARDED_BY(mutex) = 0;  // threads, busy or not
    size_t waiting GUARDED_BY(mutex) = 0;  // of them: without work
    bool kept GUARDED_BY(mutex) = false;   // a task of it, by a thread that is none of its own
    bool closing GUARDED_BY(mutex) = false;
  };
  static void Enqueue(const std::shared_ptr<State>& state, Task task);
  static void Run(const std::shared_ptr<State>& state);
  static bool Next(State& state, Task& task);

  const std::shared_ptr<State> state_;  // outlives the pool in its threads
};

// While it lives, the first task that its thread submits, to any pool that has room, is kept here for the thread to do
// by itself: to wake another one can cost more than the task. One on a thread at a time, and one of a pool's: a paused
// LUN takes no more.
class WorkerPool::Kept {
 public:
  Kept();
  ~Kept();  // submits what is kept still
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  bool any() const { return state_ != nullptr; }
  // Blocks for as long as the task does, which has a thread more than the pool's `max` then. There must be one.
  void Run();

 private:
  friend class WorkerPool;
  void LetGo();  // of the pool

  std::shared_ptr<State> state_;
  Task task_;
};

}  // namespace flocker
