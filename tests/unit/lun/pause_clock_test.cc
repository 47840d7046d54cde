#include "engine/lun/pause_clock.h"

#include <gtest/gtest.h>

namespace flocker::lun {
namespace {

using std::chrono::seconds;

const Clock::time_point kStart = Clock::time_point(seconds(1000));

TEST(PauseClock, CountsFromTheFirstStart) {
  PauseClock clock(seconds(90));
  EXPECT_FALSE(clock.deadline().has_value());
  clock.Start(kStart);
  clock.Start(kStart + seconds(10));
  EXPECT_EQ(clock.deadline(), kStart + seconds(90));
  EXPECT_EQ(clock.paused(kStart + seconds(30)), seconds(30));
  clock.Stop();
  EXPECT_FALSE(clock.deadline().has_value());
}

TEST(PauseClock, StandsStillWhileControlIsAwayAndBeginsAgainAfterwards) {
  PauseClock clock(seconds(90));
  clock.Start(kStart);
  clock.ControlAway();
  EXPECT_FALSE(clock.deadline().has_value());
  clock.ControlBack(kStart + seconds(500));
  EXPECT_EQ(clock.deadline(), kStart + seconds(590));
  EXPECT_EQ(clock.paused(kStart + seconds(500)), seconds(500));
}

TEST(PauseClock, AControlThatIsAwayAlreadyStopsTheStart) {
  PauseClock clock(seconds(90));
  clock.ControlAway();
  clock.Start(kStart);
  EXPECT_FALSE(clock.deadline().has_value());
  clock.ControlBack(kStart + seconds(5));
  EXPECT_EQ(clock.deadline(), kStart + seconds(95));
}

TEST(PauseClock, ABackWithoutAnAwayChangesNothing) {
  PauseClock clock(seconds(90));
  clock.Start(kStart);
  clock.ControlBack(kStart + seconds(50));
  EXPECT_EQ(clock.deadline(), kStart + seconds(90));
}

}  // namespace
}  // namespace flocker::lun
