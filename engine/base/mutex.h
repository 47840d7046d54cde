// std::mutex under clang's thread-safety annotations. Not absl::Mutex: Debian's Abseil is not instrumented, and
// ThreadSanitizer would report races that are not there.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define FLOCKER_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define FLOCKER_THREAD_ATTRIBUTE(x)
#endif

// gRPC's headers bring Abseil's old macros of the same names and meaning.
#undef GUARDED_BY
#undef NO_THREAD_SAFETY_ANALYSIS
#define CAPABILITY(x) FLOCKER_THREAD_ATTRIBUTE(capability(x))
#define SCOPED_CAPABILITY FLOCKER_THREAD_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(x) FLOCKER_THREAD_ATTRIBUTE(guarded_by(x))
#define REQUIRES(...) FLOCKER_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) FLOCKER_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) FLOCKER_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) FLOCKER_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS FLOCKER_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace flocker {

class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class MutexLock;
  friend class CondVar;
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

// Waits take the MutexLock that the caller holds; they may wake for no reason, so loop on the condition.
class CondVar {
 public:
  void Wait(MutexLock& lock) { cv_.wait(lock.lock_); }
  template <class Clock, class Duration>
  // False when the deadline passed.
  bool WaitUntil(MutexLock& lock, std::chrono::time_point<Clock, Duration> deadline) {
    return cv_.wait_until(lock.lock_, deadline) == std::cv_status::no_timeout;
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace flocker
