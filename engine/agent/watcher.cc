#include "engine/agent/watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <utility>

namespace flocker {

Watcher::Watcher() : epoll_(epoll_create1(EPOLL_CLOEXEC)), stop_(eventfd(0, EFD_CLOEXEC)) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = stop_.get()}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event);
  thread_ = std::thread([this] { Run(); });
}

Watcher::~Watcher() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void Watcher::Add(int fd, std::function<void()> readable) {
  const MutexLock lock(mutex_);
  callbacks_[fd] = std::make_shared<std::function<void()>>(std::move(readable));
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Watcher::Remove(int fd) {
  MutexLock lock(mutex_);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  callbacks_.erase(fd);
  if (std::this_thread::get_id() == thread_.get_id()) return;
  while (running_ == fd) idle_.Wait(lock);
}

void Watcher::Run() {
  while (true) {
    // One at a time: a callback may remove another descriptor, whose event must then not be handled any more.
    epoll_event event{};
    if (epoll_wait(epoll_.get(), &event, 1, -1) != 1) continue;
    if (event.data.fd == stop_.get()) return;
    std::shared_ptr<std::function<void()>> callback;
    {
      const MutexLock lock(mutex_);
      const auto it = callbacks_.find(event.data.fd);
      if (it == callbacks_.end()) continue;
      callback = it->second;
      running_ = event.data.fd;
    }
    (*callback)();
    const MutexLock lock(mutex_);
    running_ = -1;
    idle_.NotifyAll();
  }
}

}  // namespace flocker
