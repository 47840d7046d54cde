#include "engine/ctl/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace flocker {
namespace {

TEST(ProgressLine, NamesTheStepAndTheTime) {
  EXPECT_EQ(ProgressLine("moving db to beta", "the node lets go of it", absl::Milliseconds(1300), 0),
            "moving db to beta: the node lets go of it, 1.3s");
}

TEST(ProgressLine, FitsTheTerminalWithoutCuttingACharacter) {
  EXPECT_EQ(ProgressLine("moving größe", "the node lets go of it", absl::Seconds(1), 20), "moving gr..., 1.0s");
  EXPECT_EQ(ProgressLine("a", "b", absl::Seconds(1), 80), "a: b, 1.0s");
}

TEST(StepText, SaysWhyAStepIsTriedAgain) {
  rpc::DatasetView dataset;
  dataset.set_phase("attaching");
  EXPECT_EQ(StepText(dataset), "the node logs in and mounts");
  dataset.set_error("the array is away");
  EXPECT_EQ(StepText(dataset), "the node logs in and mounts (tried again: the array is away)");
}

TEST(Progress, WritesEachStepOnceWhereNoLineCanBeRewritten) {
  std::ostringstream out;
  {
    Progress progress("moving db", 0, out);
    progress.Show("gate", absl::ZeroDuration());
    progress.Show("gate", absl::Seconds(1));
    progress.Show("mount", absl::Seconds(2));
  }
  EXPECT_EQ(out.str(), "moving db: gate, 0.0s\nmoving db: mount, 2.0s\n");
}

TEST(Progress, TakesItsLineAway) {
  std::ostringstream out;
  { Progress("moving db", 80, out).Show("gate", absl::ZeroDuration()); }
  EXPECT_EQ(out.str(), "\r\033[Kmoving db: gate, 0.0s\r\033[K");
  std::ostringstream untouched;
  { const Progress never_shown("moving db", 80, untouched); }
  EXPECT_EQ(untouched.str(), "");
}

}  // namespace
}  // namespace flocker
