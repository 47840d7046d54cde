// When what is in the trash ends. Its time is counted while control runs, and saved: a wrong time of day must never
// cost a dataset, and time in which nobody could have asked for it back does not count against it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "engine/model/dataset.h"
#include "engine/store/store.h"

namespace flocker {

// Key of the store's meta: how long control has run in all, in milliseconds. After a crash up to kSaveInterval is lost,
// and everything is kept that much longer.
inline constexpr char kTrashClockMeta[] = "trash_clock_ms";

// Times `now` are monotonic, counted from any fixed moment.
class Retention {
 public:
  // `keep`: how long the trash keeps a dataset; zero: not at all.
  Retention(absl::Duration keep, const Snapshot& snapshot, absl::Duration now);

  // What Dataset::trashed_clock_ms counts.
  int64_t Clock(absl::Duration now) const { return base_ms_ + absl::ToInt64Milliseconds(now - started_); }
  // To be called with every new or changed record.
  void Note(const Dataset& dataset);
  // Whose time is over, each named once until Note is called again.
  std::vector<DatasetId> TakeDue(absl::Duration now);
  // What to save under kTrashClockMeta together with a commit, or because it is time to; empty: nothing.
  std::string Save(absl::Duration now, bool committing);
  // When TakeDue or Save will have something, at the earliest.
  absl::Duration Next() const;

 private:
  absl::Duration AtClock(int64_t clock_ms) const { return started_ + absl::Milliseconds(clock_ms - base_ms_); }

  static constexpr absl::Duration kSaveInterval = absl::Minutes(1);
  const absl::Duration keep_;
  const absl::Duration started_;
  int64_t base_ms_ = 0;
  absl::Duration saved_;
  std::set<std::pair<int64_t, DatasetId>> kept_;  // by the clock when it went to the trash
  std::map<DatasetId, int64_t> since_;
};

}  // namespace flocker
