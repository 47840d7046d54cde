#include "engine/ctl/table.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

TEST(Table, PadsEachColumnToItsWidestCellAndThreeBlanks) {
  EXPECT_EQ(FormatTable({{"A", "LONG", "C"}, {"first", "x", "y"}}),
            "A       LONG   C\n"
            "first   x      y\n");
}

TEST(Table, AlignsWhatFollowsASymbol) {
  EXPECT_EQ(FormatTable({{"STATUS", "SERVER"}, {"attached ✅", "a"}, {"detached", "b"}}),
            "STATUS        SERVER\n"
            "attached ✅   a\n"
            "detached      b\n");
}

TEST(Table, LeavesNoBlanksAtTheEndOfALine) { EXPECT_EQ(FormatTable({{"A", "B"}, {"a", ""}, {"a"}}), "A   B\na\na\n"); }

TEST(DisplayWidth, CountsCharactersNotBytes) {
  EXPECT_EQ(DisplayWidth("größe"), 5U);
  EXPECT_EQ(DisplayWidth("⌛"), 2U);
  EXPECT_EQ(DisplayWidth(Painted("größe", Paint::kRed)), 5U);
}

}  // namespace
}  // namespace flocker
