#include "fusefs/worker_pool.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "fusefs/credentials.h"

namespace flocker {
namespace {

thread_local WorkerPool::Kept* keeper = nullptr;  // this thread's

}  // namespace

WorkerThreads::~WorkerThreads() {
  MutexLock lock(mutex_);
  while (count_ > 0) changed_.Wait(lock);
}

void WorkerThreads::Add() {
  MutexLock lock(mutex_);
  ++count_;
}

void WorkerThreads::Remove() {
  MutexLock lock(mutex_);
  --count_;
  changed_.NotifyAll();
}

bool WorkerThreads::WaitUntilNone(absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mutex_);
  while (count_ > 0) {
    if (!changed_.WaitUntil(lock, deadline)) return count_ == 0;
  }
  return true;
}

WorkerPool::WorkerPool(WorkerThreads& threads, size_t max, absl::Duration idle)
    : state_(std::make_shared<State>(threads, max, idle)) {}

WorkerPool::~WorkerPool() {
  MutexLock lock(state_->mutex);
  state_->closing = true;
  state_->changed.NotifyAll();
}

void WorkerPool::Submit(Task task) {
  // The task may own the pool, and have ended it before this returns.
  const std::shared_ptr<State> state = state_;
  if (keeper != nullptr && !keeper->any()) {
    const MutexLock lock(state->mutex);
    if (!state->kept && state->queue.empty() && (state->waiting > 0 || state->running < state->max)) {
      state->kept = true;
      state->threads.Add();
      keeper->state_ = state;
      keeper->task_ = std::move(task);
      return;
    }
  }
  Enqueue(state, std::move(task));
}

void WorkerPool::Enqueue(const std::shared_ptr<State>& state, Task task) {
  Task undone;  // destroyed after the lock is gone: what it owns may answer somebody
  {
    MutexLock lock(state->mutex);
    state->queue.push_back(std::move(task));
    if (state->waiting < state->queue.size() && state->running < state->max) {
      state->threads.Add();
      try {
        std::thread([state] { Run(state); }).detach();
        ++state->running;
      } catch (const std::system_error& error) {
        state->threads.Remove();
        spdlog::error("cannot start a worker thread: {}; raise the limit of threads", error.what());
        if (state->running == 0) {
          undone = std::move(state->queue.back());
          state->queue.pop_back();
        }
      }
    }
  }
  state->changed.NotifyOne();  // without the lock, which who wakes up takes first
}

WorkerPool::Kept::Kept() { keeper = this; }

WorkerPool::Kept::~Kept() {
  keeper = nullptr;
  if (!any()) return;
  Enqueue(state_, std::move(task_));
  LetGo();
}

void WorkerPool::Kept::Run() {
  keeper = nullptr;  // what the task itself submits is for others
  std::exchange(task_, nullptr)();
  LetGo();
}

void WorkerPool::Kept::LetGo() {
  const std::shared_ptr<State> state = std::exchange(state_, nullptr);
  {
    const MutexLock lock(state->mutex);
    state->kept = false;
  }
  state->threads.Remove();
}

bool WorkerPool::Next(State& state, Task& task) {
  MutexLock lock(state.mutex);
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(state.idle);
  ++state.waiting;
  while (state.queue.empty() && !state.closing && state.changed.WaitUntil(lock, deadline)) {
  }
  --state.waiting;
  if (state.queue.empty()) {
    --state.running;
    return false;
  }
  task = std::move(state.queue.front());
  state.queue.pop_front();
  return true;
}

void WorkerPool::Run(const std::shared_ptr<State>& state) {
  WorkerThreads& threads = state->threads;
  if (const absl::Status prepared = PrepareThread(); !prepared.ok()) {
    // Without a umask of its own a thread would spoil everybody's: files with wrong modes are worse than an end.
    spdlog::critical("{}", std::string(prepared.message()));
    std::abort();
  }
  Task task;
  while (Next(*state, task)) {
    task();
    task = nullptr;
  }
  threads.Remove();
}

}  // namespace flocker
