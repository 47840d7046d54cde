#include "engine/lun/zero_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace flocker::lun {
namespace {

constexpr uint64_t kKiB = 1024;

ZeroLimits Limits() {
  ZeroLimits limits;
  limits.unmap = true;
  limits.granule = 4 * kKiB;
  limits.max_unmap = 64 * kKiB;
  limits.max_write_same = 16 * kKiB;
  return limits;
}

std::vector<ZeroStep> Plan(const ZeroLimits& limits, uint64_t offset, uint64_t end) {
  std::vector<ZeroStep> steps;
  while (offset < end) {
    steps.push_back(NextZeroStep(limits, offset, end));
    EXPECT_GT(steps.back().length, 0u);
    offset += steps.back().length;
    if (steps.size() > 100000) break;
  }
  EXPECT_EQ(offset, end);
  return steps;
}

TEST(ZeroPlan, UnmapsWholeGranulesAndWritesTheEnds) {
  const auto steps = Plan(Limits(), 512, 12 * kKiB + 1024);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_FALSE(steps[0].unmap);
  EXPECT_EQ(steps[0].length, 4 * kKiB - 512);
  EXPECT_TRUE(steps[1].unmap);
  EXPECT_EQ(steps[1].length, 8 * kKiB);
  EXPECT_FALSE(steps[2].unmap);
  EXPECT_EQ(steps[2].length, 1024u);
}

TEST(ZeroPlan, WritesWhatIsInNoWholeGranule) {
  const auto steps = Plan(Limits(), 2 * kKiB, 7 * kKiB);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_FALSE(steps[0].unmap);
}

TEST(ZeroPlan, WithoutZeroingUnmapWritesEverything) {
  ZeroLimits limits = Limits();
  limits.unmap = false;
  for (const ZeroStep& step : Plan(limits, 0, 1024 * kKiB)) EXPECT_FALSE(step.unmap);
}

TEST(ZeroPlan, AnUnmapTooSmallForAGranuleIsNotUsed) {
  ZeroLimits limits = Limits();
  limits.max_unmap = 2 * kKiB;
  for (const ZeroStep& step : Plan(limits, 0, 64 * kKiB)) EXPECT_FALSE(step.unmap);
}

TEST(ZeroPlan, HoldsForAnyRange) {
  std::mt19937 random(11);
  for (int i = 0; i < 3000; ++i) {
    ZeroLimits limits = Limits();
    limits.granule = 512u << random() % 12;
    limits.granule_offset = random() % 64 * 512;
    limits.max_unmap = (1 + random() % 4096) * 512;
    limits.max_write_same = (1 + random() % 256) * 512;
    const uint64_t offset = random() % 10000 * 512;
    const uint64_t end = offset + (1 + random() % 10000) * 512;
    uint64_t at = offset;
    for (const ZeroStep& step : Plan(limits, offset, end)) {
      ASSERT_EQ(step.length % 512, 0u);
      ASSERT_LE(step.length, step.unmap ? limits.max_unmap : limits.max_write_same);
      if (step.unmap) {
        const uint64_t shift = limits.granule_offset % limits.granule;
        ASSERT_EQ((at - shift) % limits.granule, 0u);
        ASSERT_EQ(step.length % limits.granule, 0u);
      }
      at += step.length;
    }
  }
}

}  // namespace
}  // namespace flocker::lun
