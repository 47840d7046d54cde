// Thousands of short histories of a whole cluster, each out of one seed. See README.md for how to replay one.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "history.h"

namespace flocker::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kDefaultSeeds = 1'000;
#else
constexpr uint64_t kDefaultSeeds = 20'000;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

// Shows the history of FLOCKER_SIM_SEED, event by event.
void Replay() {
  const auto plant = static_cast<Plant>(FromEnvironment("FLOCKER_SIM_PLANT", 0));
  const Verdict verdict = RunHistory(FromEnvironment("FLOCKER_SIM_SEED", 0), plant, /*trace=*/true);
  EXPECT_FALSE(verdict.violation) << *verdict.violation;
}

TEST(Histories, KeepEveryPromise) {
  if (std::getenv("FLOCKER_SIM_SEED") != nullptr) return Replay();
  const uint64_t seeds = FromEnvironment("FLOCKER_SIM_SEEDS", kDefaultSeeds);
  const uint64_t first = FromEnvironment("FLOCKER_SIM_FIRST", 1);
  const absl::Time start = absl::Now();
  uint64_t operations = 0;
  uint64_t writes = 0;
  uint64_t failures = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const Verdict verdict = RunHistory(seed);
    operations += verdict.operations;
    writes += verdict.writes;
    if (!verdict.violation) continue;
    ADD_FAILURE() << "seed " << seed << ": " << *verdict.violation << "\nreplay it with: " << ReplayCommand(seed);
    if (++failures == 10) break;
  }
  const double took = absl::ToDoubleSeconds(absl::Now() - start);
  std::printf("%lu histories in %.1f s, %.0f a second: %lu operations and %lu writes acknowledged\n", seeds, took,
              static_cast<double>(seeds) / took, operations, writes);
  EXPECT_GT(operations, seeds);
  EXPECT_GT(writes, seeds);
}

TEST(Histories, OfOneSeedAreOne) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(RunHistory(seed).fingerprint, RunHistory(seed).fingerprint) << "seed " << seed;
  }
}

TEST(Histories, OfDifferentSeedsDiffer) {
  std::set<uint64_t> fingerprints;
  for (uint64_t seed = 1; seed <= 20; ++seed) fingerprints.insert(RunHistory(seed).fingerprint);
  EXPECT_EQ(fingerprints.size(), 20);
}

}  // namespace
}  // namespace flocker::sim
