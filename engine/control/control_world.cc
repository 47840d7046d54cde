#include "engine/control/control_world.h"

#include <utility>

#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr size_t kArrayThreads = 4;
constexpr uint64_t kKeepEvents = 100'000;
constexpr uint64_t kTrimEvery = 10'000;

// What the array's threads have to say goes to the controller's.
ArrayRunner::Callbacks PostTo(Runner& runner) {
  const auto notice = [&runner](const char* kind) {
    return [&runner, kind](const DatasetId& id, const absl::Status& status) {
      runner.Post([id, kind, message = std::string(status.message())](Controller& controller, absl::Duration) {
        controller.OnNotice(id, kind, message);
      });
    };
  };
  return {.done =
              [&runner](const Action& action, const StepOutcome& outcome, absl::Duration took) {
                runner.Post([=](Controller& controller, absl::Duration now) {
                  controller.OnArrayOutcome(action, outcome, took, now);
                });
              },
          .capacity =
              [&runner](const absl::StatusOr<PoolCapacity>& capacity) {
                runner.Post([=](Controller& controller, absl::Duration now) { controller.OnCapacity(capacity, now); });
              },
          .record_failed = notice("record-not-written"),
          .list =
              [&runner](const absl::StatusOr<std::vector<ArrayEntry>>& entries) {
                runner.Post([=](Controller& controller, absl::Duration now) { controller.OnArrayList(entries, now); });
              },
          .stray_stays = notice("stray-stays")};
}

}  // namespace

ControlWorld::ControlWorld(Runner& runner, Store& store, Array& array, AgentService& agents, Calls& calls, Room room)
    : store_(store),
      agents_(agents),
      calls_(calls),
      room_(std::move(room)),
      array_(array, kArrayThreads, PostTo(runner)) {}

absl::Status ControlWorld::Commit(const Batch& batch) {
  const absl::Duration start = MonotonicNow();
  RETURN_IF_ERROR(store_.Commit(batch));
  if (metrics_ != nullptr) metrics_->Count(batch.events, MonotonicNow() - start);
  if (batch.events.empty()) return absl::OkStatus();
  untold_.insert(untold_.end(), batch.events.begin(), batch.events.end());
  const uint64_t seq = batch.events.back().seq;
  if (seq / kTrimEvery != batch.events.front().seq / kTrimEvery) return store_.TrimEvents(kKeepEvents);
  return absl::OkStatus();
}

void ControlWorld::TellEvents() {
  if (!untold_.empty()) agents_.Announce(std::exchange(untold_, {}));
}

std::string ControlWorld::RandomHex(size_t bytes) { return flocker::RandomHex(bytes); }

int64_t ControlWorld::WallClockMs() { return absl::ToUnixMillis(absl::Now()); }

}  // namespace flocker
