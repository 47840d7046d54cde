#include "engine/agent/ticker.h"

#include <chrono>
#include <utility>

namespace flocker {

Ticker::Ticker(absl::Duration pause, std::function<void()> tick)
    : pause_(pause), tick_(std::move(tick)), thread_([this] { Run(); }) {}

Ticker::~Ticker() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

void Ticker::Run() {
  while (true) {
    tick_();
    const auto next = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(pause_);
    MutexLock lock(mutex_);
    while (!stopping_ && wake_.WaitUntil(lock, next)) {
    }
    if (stopping_) return;
  }
}

}  // namespace flocker
