#include "engine/ctl/event_follower.h"

#include <algorithm>
#include <chrono>

#include "engine/base/clock.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr absl::Duration kLookAnyway = absl::Milliseconds(200);
constexpr absl::Duration kLookAtMost = absl::Milliseconds(20);  // once in so long, also where much happens

}  // namespace

EventFollower::EventFollower(ClusterClient& client, uint64_t from_seq)
    : thread_([this, &client, from_seq] {
        // An error ends the news, not the wait: that looks without them.
        client
            .Follow(
                from_seq, [this](const rpc::EventView&) { Wake(); }, cancellation_)
            .IgnoreError();
      }) {}

EventFollower::~EventFollower() {
  cancellation_.Cancel();
  thread_.join();
}

void EventFollower::Wake() {
  const MutexLock lock(mutex_);
  ++news_;
  changed_.NotifyAll();
}

absl::Status EventFollower::Await(const std::function<absl::StatusOr<bool>()>& reached, absl::Time deadline) {
  while (true) {
    uint64_t seen = 0;
    {
      const MutexLock lock(mutex_);
      seen = news_;
    }
    const auto looked = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(const bool done, reached());
    if (done) return absl::OkStatus();
    const absl::Time now = SteadyNow();
    if (now >= deadline) return Refuse(Cause::kTimeout, "not done in time");
    const auto soon = looked + absl::ToChronoNanoseconds(std::min(deadline - now, kLookAtMost));
    const auto late = looked + absl::ToChronoNanoseconds(std::min(deadline - now, kLookAnyway));
    MutexLock lock(mutex_);
    while (news_ == seen && changed_.WaitUntil(lock, late)) {
    }
    while (news_ != seen && changed_.WaitUntil(lock, soon)) {
    }
  }
}

}  // namespace flocker
