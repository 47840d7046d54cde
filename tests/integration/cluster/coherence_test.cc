// What one node's tree changed, another's shows soon after.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using Coherence = ClusterTest;

std::set<std::string> Names(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

TEST_F(Coherence, AnotherNodesLsShowsAChangeWithin100Milliseconds) {
  constexpr int kChanges = 50;
  MakeOnAlpha("data0");
  const std::string elsewhere = cluster_.tree("beta") + "/alpha";
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Names(elsewhere).contains("data0"); }));
  std::vector<absl::Duration> times;
  for (int i = 0; i < kChanges; ++i) {
    const std::set<std::string> after = {absl::StrCat("data", i + 1)};
    const absl::Time start = absl::Now();  // before the commit, which nobody outside sees
    ASSERT_EQ(Rename(cluster_.Path("alpha", absl::StrCat("data", i)), cluster_.Path("alpha", *after.begin())), 0);
    const absl::Time deadline = start + absl::Seconds(10);
    while (Names(elsewhere) != after) ASSERT_LT(absl::Now(), deadline) << *after.begin() << " does not show";
    times.push_back(absl::Now() - start);
  }
  std::sort(times.begin(), times.end());
  const absl::Duration median = times[kChanges / 2];
  std::printf("shown by the other node after %s (median), %s (longest of %d)\n", absl::FormatDuration(median).c_str(),
              absl::FormatDuration(times.back()).c_str(), kChanges);
  EXPECT_LT(median, absl::Milliseconds(100));
  // The rule's own bound is the same; a machine that others use as well may be late once.
  EXPECT_LT(times[kChanges * 9 / 10], absl::Milliseconds(100));
  EXPECT_LT(times.back(), absl::Seconds(1));
}

}  // namespace
}  // namespace flocker::testing
