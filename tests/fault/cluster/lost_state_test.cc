// Control's state is lost: it comes back from a backup, or from what lies on the array, and nobody writes twice.
#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class LostState : public ClusterTest {
 protected:
  std::string data() const { return cluster_.dir() + "/control"; }
  std::string backups() const { return cluster_.dir() + "/backups"; }

  void LoseState() {
    cluster_.control().Kill();
    std::filesystem::remove_all(data());
  }
  std::string Content(const std::string& node, const std::string& name) {
    return ReadFile(cluster_.Path(node, name) + "/file").value_or("unread");
  }
  void ExpectAttached(const std::string& node, const std::string& name) {
    EXPECT_TRUE(Eventually(absl::Seconds(60),
                           [&] { return cluster_.AttachedOn(node, name) && Content(node, name) == "content\n"; }))
        << cluster_.Ctl({"ls"}).output << cluster_.Ctl({"events"}).output;
    EXPECT_EQ(WriteFile(cluster_.Path(node, name) + "/again", "x"), 0) << name;
  }
};

TEST_F(LostState, ABackupIsRestoredAndEveryDatasetGoesOnWithoutAPause) {
  MakeOnAlpha("db");
  MakeOnAlpha("web");
  ASSERT_EQ(Mv("web", "alpha", "beta"), 0);
  const auto backup = cluster_.Ctl({"backup", backups()});
  ASSERT_EQ(backup.exit_code, 0) << backup.output;
  const std::string native = cluster_.NativePath("alpha", "db");
  LoseState();
  const auto restored = cluster_.ControlOnce({"--restore", backups()});
  ASSERT_EQ(restored.exit_code, 0) << restored.output;
  ASSERT_TRUE(cluster_.StartControl().ok());
  ExpectAttached("alpha", "db");
  ExpectAttached("beta", "web");
  EXPECT_EQ(cluster_.NativePath("alpha", "db"), native) << "the mount was never touched";
}

TEST_F(LostState, ABackupIsNotRestoredOverAState) {
  ASSERT_EQ(cluster_.Ctl({"backup", backups()}).exit_code, 0);
  EXPECT_NE(cluster_.Ctl({"backup", data() + "/x"}).exit_code, 0);
  EXPECT_NE(cluster_.Ctl({"backup", "relative"}).exit_code, 0);
  ASSERT_TRUE(cluster_.control().Stop().ok());
  const auto restored = cluster_.ControlOnce({"--restore", backups()});
  EXPECT_NE(restored.exit_code, 0);
  EXPECT_THAT(restored.output, ::testing::HasSubstr(data()));
  ASSERT_TRUE(cluster_.StartControl().ok());
}

TEST_F(LostState, AnOldBackupIsRefusedUntilEverythingIsFenced) {
  MakeOnAlpha("moved");
  MakeOnAlpha("stays");
  ASSERT_EQ(cluster_.Ctl({"backup", backups()}).exit_code, 0);
  ASSERT_EQ(Mv("moved", "alpha", "beta"), 0);
  MakeOnAlpha("newer");
  ASSERT_EQ(Open(cluster_.Path("beta", "moved") + "/file"), 0);
  LoseState();
  ASSERT_EQ(cluster_.ControlOnce({"--restore", backups()}).exit_code, 0);
  const auto refused = cluster_.ControlOnce({});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.output, ::testing::AllOf(::testing::HasSubstr("moved"), ::testing::HasSubstr("--adopt")));

  const auto adopted = cluster_.ControlOnce({"--adopt"});
  ASSERT_EQ(adopted.exit_code, 0) << adopted.output;
  ASSERT_TRUE(cluster_.StartControl().ok());
  ExpectAttached("beta", "moved");
  ExpectAttached("alpha", "stays");
  ExpectAttached("alpha", "newer");
}

// The array knows nothing of it any more; only the node that was cut off from control does.
TEST_F(LostState, AnAgentThatHoldsSomethingNewerStopsARestoredState) {
  MakeOnAlpha("db");
  ASSERT_EQ(cluster_.Ctl({"backup", backups()}).exit_code, 0);
  const auto row = cluster_.Find("db");
  ASSERT_TRUE(row);
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0);
  ASSERT_EQ(Open(cluster_.Path("beta", "db") + "/file"), 0);
  LoseState();
  cluster_.array().Kill();
  cluster_.array().Start();
  for (const auto& entry : std::filesystem::directory_iterator(cluster_.dir() + "/pool")) {
    if (entry.path().extension() == ".json") std::filesystem::remove(entry.path());
  }
  ASSERT_EQ(cluster_.ControlOnce({"--restore", backups()}).exit_code, 0);
  ASSERT_TRUE(cluster_.StartControl().ok());
  CommandResult refused;
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    refused = cluster_.Ctl({"destroy", "-d", "db"});
    return absl::StrContains(refused.output, "beta holds db");
  })) << refused.output;
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_FALSE(cluster_.Connected("alpha"));

  ASSERT_TRUE(cluster_.control().Stop().ok());
  ASSERT_EQ(cluster_.ControlOnce({"--adopt"}).exit_code, 0);
  ASSERT_TRUE(cluster_.StartControl().ok());
  ExpectAttached("alpha", "db");  // as the backup wished it
}

TEST_F(LostState, AnEmptyStateDoesNotTakeALivingClusterForStrays) {
  MakeOnAlpha("db");
  const std::string native = cluster_.NativePath("alpha", "db");
  ASSERT_TRUE(cluster_.control().Stop().ok());
  std::filesystem::rename(data(), data() + ".elsewhere");
  const auto refused = cluster_.ControlOnce({});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.output, ::testing::HasSubstr("--adopt"));
  std::filesystem::remove_all(data());
  std::filesystem::rename(data() + ".elsewhere", data());
  ASSERT_TRUE(cluster_.StartControl().ok());
  ExpectAttached("alpha", "db");
  EXPECT_EQ(cluster_.NativePath("alpha", "db"), native);
}

TEST_F(LostState, WithoutABackupItIsRebuiltFromTheArray) {
  MakeOnAlpha("db");
  MakeOnAlpha("web");
  MakeOnAlpha("old");
  ASSERT_EQ(Mv("web", "alpha", "beta"), 0);
  ASSERT_EQ(Open(cluster_.Path("beta", "web") + "/file"), 0);
  ASSERT_EQ(RemoveDir(cluster_.Path("alpha", "old")), 0) << cluster_.Why("old");
  LoseState();
  const auto adopted = cluster_.ControlOnce({"--adopt"});
  ASSERT_EQ(adopted.exit_code, 0) << adopted.output;
  ASSERT_TRUE(cluster_.StartControl().ok());
  ExpectAttached("alpha", "db");
  ExpectAttached("beta", "web");
  const auto old = cluster_.Find("old");
  EXPECT_FALSE(old) << "what was destroyed stays in the trash";
  EXPECT_THAT(cluster_.Ctl({"ls", "--trash"}).output, ::testing::HasSubstr("old"));
}

}  // namespace
}  // namespace flocker::testing
