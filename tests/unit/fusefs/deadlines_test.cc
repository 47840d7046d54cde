#include "fusefs/deadlines.h"

#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <vector>

namespace flocker {
namespace {

TEST(Deadlines, RunsInTheOrderOfTime) {
  Deadlines deadlines;
  std::vector<int> order;
  std::latch done(3);
  const auto note = [&](int number) {
    return [&, number] {
      order.push_back(number);
      done.count_down();
    };
  };
  deadlines.After(absl::Milliseconds(40), note(3));
  deadlines.After(absl::Milliseconds(20), note(2));
  deadlines.Soon(note(1));
  done.wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Deadlines, StopDropsWhatHasNotCome) {
  Deadlines deadlines;
  auto kept = std::make_shared<int>(0);
  deadlines.After(absl::Hours(1), [kept] { ++*kept; });
  deadlines.Stop();
  EXPECT_EQ(kept.use_count(), 1);
  deadlines.Soon([kept] { ++*kept; });
  EXPECT_EQ(*kept, 0);
}

}  // namespace
}  // namespace flocker
