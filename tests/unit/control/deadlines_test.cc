#include "engine/control/deadlines.h"

#include <gtest/gtest.h>

#include <string>

namespace flocker {
namespace {

using Due = std::vector<std::string>;

constexpr absl::Duration At(int seconds) { return absl::Seconds(seconds); }

TEST(Deadlines, AreTakenOnceAndTheEarliestFirst) {
  Deadlines<std::string> deadlines;
  EXPECT_EQ(deadlines.Next(), absl::InfiniteDuration());
  deadlines.Set("late", At(9));
  deadlines.Set("z", At(2));
  deadlines.Set("a", At(3));
  EXPECT_EQ(deadlines.Next(), At(2));
  EXPECT_EQ(deadlines.TakeDue(At(1)), Due());
  EXPECT_EQ(deadlines.TakeDue(At(3)), (Due{"z", "a"}));
  EXPECT_EQ(deadlines.TakeDue(At(3)), Due());
  EXPECT_EQ(deadlines.Of("a"), std::nullopt);
  EXPECT_EQ(deadlines.Next(), At(9));
}

TEST(Deadlines, OfOneKeyAreOne) {
  Deadlines<std::string> deadlines;
  deadlines.Set("a", At(1));
  deadlines.Set("a", At(5));
  EXPECT_EQ(deadlines.Of("a"), At(5));
  EXPECT_EQ(deadlines.TakeDue(At(4)), Due());
  deadlines.Set("a", At(2));
  EXPECT_EQ(deadlines.TakeDue(At(4)), Due{"a"});
  EXPECT_EQ(deadlines.TakeDue(At(9)), Due());
}

TEST(Deadlines, AreTakenBack) {
  Deadlines<std::string> deadlines;
  deadlines.Set("erased", At(1));
  deadlines.Set("never", At(1));
  deadlines.Erase("erased");
  deadlines.Erase("unknown");
  deadlines.Set("never", absl::InfiniteDuration());
  EXPECT_EQ(deadlines.Next(), absl::InfiniteDuration());
  EXPECT_EQ(deadlines.TakeDue(At(9)), Due());
}

}  // namespace
}  // namespace flocker
