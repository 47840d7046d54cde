#include "engine/control/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kKeep = absl::Hours(24);

Dataset Trashed(int n, int64_t clock_ms) {
  Dataset dataset;
  dataset.id = testing::DatasetNumber(n);
  dataset.placement.phase = Phase::kTrashed;
  dataset.desired.deleted = true;
  dataset.trashed_clock_ms = clock_ms;
  return dataset;
}

TEST(Retention, NamesEachOnceWhenItsTimeIsOver) {
  Retention retention(kKeep, {}, absl::Hours(1000));
  EXPECT_EQ(retention.Next(), absl::InfiniteDuration());
  const absl::Duration later = absl::Hours(1002);
  retention.Note(Trashed(1, retention.Clock(later)));
  retention.Note(Trashed(2, retention.Clock(absl::Hours(1000))));
  EXPECT_THAT(retention.TakeDue(absl::Hours(1023)), IsEmpty());
  EXPECT_THAT(retention.TakeDue(absl::Hours(1024)), ElementsAre(testing::DatasetNumber(2)));
  EXPECT_THAT(retention.TakeDue(absl::Hours(1025)), IsEmpty());
  EXPECT_THAT(retention.TakeDue(later + kKeep), ElementsAre(testing::DatasetNumber(1)));
}

TEST(Retention, CountsOnlyWhileControlRuns) {
  Retention first(kKeep, {}, absl::ZeroDuration());
  const Dataset dataset = Trashed(1, first.Clock(absl::Hours(1)));
  first.Note(dataset);
  const std::string saved = first.Save(absl::Hours(11), false);
  // The machine was off for who knows how long, and its monotonic clock begins anew.
  Retention second(kKeep, {.datasets = {dataset}, .meta = {{kTrashClockMeta, saved}}}, absl::Seconds(7));
  EXPECT_THAT(second.TakeDue(absl::Hours(13)), IsEmpty());
  EXPECT_THAT(second.TakeDue(absl::Hours(14) + absl::Seconds(7)), ElementsAre(testing::DatasetNumber(1)));
}

TEST(Retention, WhatWasNotSavedKeepsItLongerNeverShorter) {
  for (const char* saved : {"0", "rubbish", "-5"}) {
    Retention retention(kKeep, {.datasets = {Trashed(1, 3'600'000)}, .meta = {{kTrashClockMeta, saved}}}, {});
    EXPECT_THAT(retention.TakeDue(kKeep - absl::Seconds(1)), IsEmpty()) << saved;
    EXPECT_THAT(retention.TakeDue(kKeep), ElementsAre(testing::DatasetNumber(1))) << saved;
  }
}

TEST(Retention, ForgetsWhatWasRestoredAndWhatIsProtected) {
  Retention retention(kKeep, {}, {});
  Dataset dataset = Trashed(1, 0);
  retention.Note(dataset);
  dataset.desired.deleted = false;  // its phase follows
  retention.Note(dataset);
  Dataset precious = Trashed(2, 0);
  precious.protect = true;
  retention.Note(precious);
  EXPECT_THAT(retention.TakeDue(2 * kKeep), IsEmpty());
}

TEST(Retention, SavesWithEveryCommitAndOnceAMinuteWhileTheTrashHoldsSomething) {
  Retention retention(kKeep, {}, {});
  EXPECT_EQ(retention.Save(absl::Hours(1), true), "");
  retention.Note(Trashed(1, retention.Clock(absl::Hours(1))));
  EXPECT_EQ(retention.Save(absl::Hours(1), true), "3600000");
  EXPECT_EQ(retention.Save(absl::Hours(1) + absl::Seconds(59), false), "");
  EXPECT_EQ(retention.Next(), absl::Hours(1) + absl::Minutes(1));
  EXPECT_EQ(retention.Save(absl::Hours(1) + absl::Minutes(1), false), "3660000");
}

TEST(Retention, OfZeroKeepsNothing) {
  Retention retention({}, {}, absl::Hours(5));
  retention.Note(Trashed(1, retention.Clock(absl::Hours(6))));
  EXPECT_LE(retention.Next(), absl::Hours(6));
  EXPECT_THAT(retention.TakeDue(absl::Hours(6)), ElementsAre(testing::DatasetNumber(1)));
}

}  // namespace
}  // namespace flocker
