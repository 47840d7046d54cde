// What a crash between any two steps leaves in tgt, and what strangers keep there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/contract/array/array_world.h"

namespace flocker::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kSize = uint64_t{64} << 20;

class TgtTraces : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world_.array().Create(id_, kSize, "{}").ok()); }

  void Admin(const std::string& line) {
    const auto done =
        RunChecked({"sh", "-c", absl::StrCat("tgtadm -C ", world_.tgtd().control_number(), " --lld iscsi ", line)},
                   absl::Seconds(10));
    ASSERT_TRUE(done.ok()) << done.status();
  }
  std::string Shown() { return *world_.tgtd().Admin({"--lld", "iscsi", "--op", "show", "--mode", "target"}); }
  std::string Target() const { return "iqn.2026-11.io.flocker:" + id_.str(); }
  std::string Lun() const { return absl::StrCat("--tid 7 --lun 1 --bstype rdwr -b '", world_.BackingFile(id_), "'"); }
  std::string Account() const { return absl::StrCat("--user ", grant_.user, " --password stale-secret"); }

  // The first steps of a grant, as if control had died after `count` of them.
  void LeaveTraces(size_t count) {
    const std::vector<std::string> steps = {
        "--op new --mode target --tid 7 -T " + Target(),
        "--op new --mode logicalunit " + Lun(),
        absl::StrCat("--op update --mode logicalunit --tid 7 --lun 1 --params thin_provisioning=1,scsi_id=", id_.str()),
        "--op new --mode account " + Account(),
        "--op bind --mode account --tid 7 --user " + grant_.user,
        "--op bind --mode target --tid 7 --initiator-name " + grant_.initiator,
    };
    for (size_t i = 0; i < count; ++i) Admin(steps[i]);
  }

  TgtWorld world_;
  const DatasetId id_ = Id(1);
  const Grant grant_ = GrantOf(id_, 1, 1);
};

// All but the last: after that the grant is complete.
class TgtTracesOfAGrant : public TgtTraces, public ::testing::WithParamInterface<size_t> {};
INSTANTIATE_TEST_SUITE_P(Steps, TgtTracesOfAGrant, ::testing::Values(0, 1, 2, 3, 4, 5));

TEST_P(TgtTracesOfAGrant, AreCompletedByTheNextGrant) {
  LeaveTraces(GetParam());
  const auto address = world_.array().Grant(id_, grant_);
  ASSERT_TRUE(address.ok()) << address.status();
  auto initiator = LoggedIn(*address, grant_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  EXPECT_TRUE(initiator->Unmap(0, 1 << 20).ok());
}

TEST_P(TgtTracesOfAGrant, AreSweptByAFence) {
  LeaveTraces(GetParam());
  ASSERT_TRUE(world_.array().Fence(id_, grant_).ok());
  EXPECT_EQ(Shown(), "");
  EXPECT_THAT(*world_.tgtd().Admin({"--lld", "iscsi", "--op", "show", "--mode", "account"}),
              Not(HasSubstr(grant_.user)));
}

TEST_P(TgtTracesOfAGrant, AreSweptByDestroy) {
  LeaveTraces(GetParam());
  ASSERT_TRUE(world_.array().Destroy(id_).ok());
  EXPECT_EQ(Shown(), "");
}

TEST_F(TgtTraces, AnAccessListThatAdmitsOthersIsReplaced) {
  LeaveTraces(6);
  Admin("--op bind --mode target --tid 7 --initiator-address ALL");
  ASSERT_TRUE(world_.array().Grant(id_, grant_).ok());
  EXPECT_THAT(Shown(), Not(HasSubstr("ALL")));
}

TEST_F(TgtTraces, AResizeThatDiedWithoutItsLunIsCompleted) {
  LeaveTraces(6);
  Admin("--op delete --mode logicalunit --tid 7 --lun 1");
  ASSERT_TRUE(world_.array().Resize(id_, 2 * kSize).ok());
  EXPECT_THAT(Shown(), HasSubstr("Size: 134 MB"));
  EXPECT_THAT(Shown(), HasSubstr(grant_.initiator));
}

TEST_F(TgtTraces, StrangersAreNeitherListedNorTouched) {
  Admin("--op new --mode target --tid 3 -T iqn.2026-11.io.flocker:not-a-dataset");
  Admin("--op bind --mode target --tid 3 --initiator-address ALL");
  Admin("--op new --mode account --user stranger --password strangers-pass");
  const std::string before = Shown();
  ASSERT_TRUE(world_.array().Grant(id_, grant_).ok());
  EXPECT_EQ(world_.array().List()->size(), 1u);
  ASSERT_TRUE(world_.array().Revoke(id_, grant_).ok());
  ASSERT_TRUE(world_.array().Destroy(id_).ok());
  EXPECT_EQ(Shown(), before);
  EXPECT_THAT(*world_.tgtd().Admin({"--lld", "iscsi", "--op", "show", "--mode", "account"}), HasSubstr("stranger"));
}

TEST_F(TgtTraces, ARestartedControlFindsAndFencesWhatItsPredecessorGranted) {
  const auto address = world_.array().Grant(id_, grant_);
  ASSERT_TRUE(address.ok()) << address.status();
  auto initiator = LoggedIn(*address, grant_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  const auto successor = world_.NewArray();
  EXPECT_TRUE(successor->Grant(id_, grant_).ok());
  EXPECT_TRUE(initiator->Write(0, std::string(4096, 'x')).ok());
  ASSERT_TRUE(successor->Fence(id_, grant_).ok());
  EXPECT_FALSE(initiator->Write(0, std::string(4096, 'y')).ok());
}

TEST(TgtSecrets, NoErrorTellsOne) {
  // The array's head fails at the one command that carries the secret.
  TgtWorld world({"sh", "-c", "case $0 in *--password*) exit 9;; esac; exec sh -c \"$0\""});
  ASSERT_TRUE(world.array().Create(Id(1), kSize, "{}").ok());
  const Grant grant = GrantOf(Id(1), 1, 1);
  const auto refused = world.array().Grant(Id(1), grant);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable) << refused.status();
  EXPECT_THAT(refused.status().ToString(), Not(HasSubstr(grant.secret.substr(5))));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("--op new --mode account --user " + grant.user));
}

TEST(TgtPool, AMissingPoolIsNamedAndNotMade) {
  TgtWorld world;
  std::filesystem::remove_all(world.pool());
  const absl::Status refused = world.array().Create(Id(1), kSize, "{}");
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.message()), HasSubstr(world.pool()));
  EXPECT_FALSE(std::filesystem::exists(world.pool()));
}

}  // namespace
}  // namespace flocker::testing
