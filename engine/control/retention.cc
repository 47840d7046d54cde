#include "engine/control/retention.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/log.h"

namespace flocker {

Retention::Retention(absl::Duration keep, const Snapshot& snapshot, absl::Duration now)
    : keep_(keep), started_(now), saved_(now) {
  const auto saved = snapshot.meta.find(kTrashClockMeta);
  if (saved != snapshot.meta.end() && !absl::SimpleAtoi(saved->second, &base_ms_)) {
    spdlog::warn("the time that the trash has counted is not a number: '{}'; it starts anew", saved->second);
    base_ms_ = 0;
  }
  for (const Dataset& dataset : snapshot.datasets) {
    base_ms_ = std::max(base_ms_, dataset.trashed_clock_ms);  // nothing was destroyed in the future
    Note(dataset);
  }
}

void Retention::Note(const Dataset& dataset) {
  if (const auto it = since_.find(dataset.id); it != since_.end()) {
    kept_.erase({it->second, dataset.id});
    since_.erase(it);
  }
  const Desired& desired = dataset.desired;
  if (dataset.placement.phase != Phase::kTrashed || !desired.deleted || desired.purge || dataset.protect) return;
  since_[dataset.id] = dataset.trashed_clock_ms;
  kept_.emplace(dataset.trashed_clock_ms, dataset.id);
}

std::vector<DatasetId> Retention::TakeDue(absl::Duration now) {
  std::vector<DatasetId> due;
  while (!kept_.empty() && AtClock(kept_.begin()->first) + keep_ <= now) {
    due.push_back(kept_.begin()->second);
    since_.erase(due.back());
    kept_.erase(kept_.begin());
  }
  return due;
}

std::string Retention::Save(absl::Duration now, bool committing) {
  if (kept_.empty() || (!committing && now < saved_ + kSaveInterval)) return {};
  saved_ = now;
  return absl::StrCat(Clock(now));
}

absl::Duration Retention::Next() const {
  if (kept_.empty()) return absl::InfiniteDuration();
  return std::min(saved_ + kSaveInterval, AtClock(kept_.begin()->first) + keep_);
}

}  // namespace flocker
