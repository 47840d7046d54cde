// The simulation is only worth what it finds: bugs of the kinds that would break the promise are planted in the glue
// around the real code, and each must be found within a few hundred histories, by the invariant meant for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "history.h"

namespace flocker::sim {
namespace {

constexpr uint64_t kSeeds = 2'000;

struct Planted {
  Plant plant;
  const char* name;
  const char* found;  // a regular expression: any of these words convicts it
};

class PlantedBugs : public ::testing::TestWithParam<Planted> {};

TEST_P(PlantedBugs, AreFound) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Verdict verdict = RunHistory(seed, GetParam().plant);
    if (!verdict.violation) continue;
    std::printf("found by seed %lu: %s\n", seed, verdict.violation->c_str());
    EXPECT_THAT(*verdict.violation, ::testing::ContainsRegex(GetParam().found));
    EXPECT_FALSE(RunHistory(seed).violation) << "the history is a bad one without it too";
    return;
  }
  FAIL() << "not found in " << kSeeds << " histories";
}

INSTANTIATE_TEST_SUITE_P(
    All, PlantedBugs,
    ::testing::Values(Planted{Plant::kGrantBeforeRevoke, "GrantBeforeRevoke", "two may write"},
                      Planted{Plant::kEpochNotCompared, "EpochNotCompared", "two may write|logs in after"},
                      Planted{Plant::kReleaseWithoutProof, "ReleaseWithoutProof", "counts as released"},
                      Planted{Plant::kProofSkipped, "ProofSkipped", "counts as released"},
                      Planted{Plant::kFenceNotVerified, "FenceNotVerified",
                              "two may write|accepted after|newer|grows under"},
                      Planted{Plant::kCommitAfterAction, "CommitAfterAction", "never committed|not durable|two grants"},
                      Planted{Plant::kTombstoneForgotten, "TombstoneForgotten", "still has"},
                      Planted{Plant::kReissueWithoutRenewal, "ReissueWithoutRenewal", "newer|two may|mkfs"},
                      Planted{Plant::kNewBesideInherited, "NewBesideInherited", "newer"},
                      Planted{Plant::kFormatUnasked, "FormatUnasked", "mkfs"},
                      Planted{Plant::kLeasesForgotten, "LeasesForgotten", "leased to"}),
    [](const auto& planted) { return std::string(planted.param.name); });

}  // namespace
}  // namespace flocker::sim
