// One thread that waits for many descriptors (epoll) and calls back.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"

namespace flocker {

class Watcher {
 public:
  Watcher();
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Calls `readable` whenever `fd` is (level-triggered), until it is removed. The caller keeps fd open until Remove.
  void Add(int fd, std::function<void()> readable);
  // After it returns the callback neither runs nor will run, unless Remove was called from inside a callback.
  void Remove(int fd);

 private:
  void Run();

  unique_fd epoll_;
  unique_fd stop_;
  Mutex mutex_;
  CondVar idle_;
  std::map<int, std::shared_ptr<std::function<void()>>> callbacks_ GUARDED_BY(mutex_);
  int running_ GUARDED_BY(mutex_) = -1;  // the descriptor whose callback runs
  std::thread thread_;
};

}  // namespace flocker
