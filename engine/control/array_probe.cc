#include "engine/control/array_probe.h"

#include "absl/strings/str_cat.h"
#include "engine/control/runner.h"

namespace flocker {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(2);
constexpr absl::Duration kPatience = absl::Seconds(3);  // what answers at all does so in milliseconds

}  // namespace

ArrayProbe::ArrayProbe(Array& array) : array_(array), thread_([this] { Run(); }) {}

ArrayProbe::~ArrayProbe() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  thread_.join();
}

std::string ArrayProbe::Error() {
  const MutexLock lock(mutex_);
  const absl::Duration since = MonotonicNow() - asked_at_;
  if (asking_ && since > kPatience) {
    return absl::StrCat("it was asked ", absl::FormatDuration(absl::Trunc(since, absl::Seconds(1))), " ago");
  }
  if (!asking_ && since > kInterval) {
    asking_ = true;
    asked_at_ = MonotonicNow();
    wake_.NotifyOne();
  }
  return error_;
}

void ArrayProbe::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      while (!asking_ && !stopping_) wake_.Wait(lock);
      if (stopping_) return;
    }
    const absl::Status status = array_.Answers();
    const MutexLock lock(mutex_);
    error_ = std::string(status.message());
    asking_ = false;
  }
}

}  // namespace flocker
