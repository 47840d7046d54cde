#include "engine/ctl/terminal.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

TEST(Terminal, APipeGetsNeitherColourNorSymbols) {
  const Terminal pipe = TerminalOf(false, false, "UTF-8", "xterm", false);
  EXPECT_FALSE(pipe.interactive || pipe.progress || pipe.symbols || pipe.colour);
}

TEST(Terminal, ShowsWhatItCan) {
  const Terminal full = TerminalOf(true, true, "UTF-8", "xterm-256color", false);
  EXPECT_TRUE(full.interactive && full.progress && full.symbols && full.colour);
  EXPECT_FALSE(TerminalOf(true, true, "ANSI_X3.4-1968", "xterm", false).symbols);
  EXPECT_FALSE(TerminalOf(true, true, "UTF-8", "linux", false).symbols);
  EXPECT_FALSE(TerminalOf(true, true, "UTF-8", "xterm", true).colour);
  const Terminal dumb = TerminalOf(true, true, "UTF-8", "dumb", false);
  EXPECT_TRUE(dumb.interactive);
  EXPECT_FALSE(dumb.progress || dumb.symbols || dumb.colour);
}

TEST(Terminal, ProgressGoesToStandardErrorWhereTheResultGoesToAPipe) {
  const Terminal half = TerminalOf(false, true, "UTF-8", "xterm", false);
  EXPECT_TRUE(half.progress);
  EXPECT_FALSE(half.interactive || half.colour);
}

}  // namespace
}  // namespace flocker
