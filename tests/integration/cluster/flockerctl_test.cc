// flockerctl against a real cluster: the same engine by another door.
#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "engine/base/file.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using Flockerctl = ClusterTest;

TEST_F(Flockerctl, CreatesMovesAndDestroys) {
  const CommandResult created = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=Test,team=a", "-s", "15G"});
  ASSERT_EQ(created.exit_code, 0) << created.output;
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
    return absl::StrContains(cluster_.Ctl({"ls"}).output, "   15.00G   name=Test,team=a   attached   ");
  })) << cluster_.Ctl({"ls"}).output;
  ASSERT_EQ(WriteFile(cluster_.Path("alpha", "Test") + "/file", "content"), 0);

  const CommandResult moved = cluster_.Ctl({"move", "-d", "Test", "-t", "beta"});
  ASSERT_EQ(moved.exit_code, 0) << moved.output;
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "Test") + "/file").value_or("unread"), "content");

  const CommandResult destroyed = cluster_.Ctl({"destroy", "-d", "Test"});
  ASSERT_EQ(destroyed.exit_code, 0) << destroyed.output;
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return !cluster_.Find("Test,team=a"); }));
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    return absl::StrContains(cluster_.Ctl({"ls", "--deleted"}).output, "deleted");
  })) << cluster_.Ctl({"ls", "--deleted"}).output;
}

TEST_F(Flockerctl, RestoresWithTheDataAndPurgesWithTheLun) {
  MakeOnAlpha("db", "kept");
  const std::string id = cluster_.Find("db")->id;
  const std::string lun = cluster_.dir() + "/pool/" + id + ".img";
  EXPECT_EQ(cluster_.Ctl({"purge", "db"}).exit_code, 3);  // not-found: there is none in the trash
  ASSERT_EQ(cluster_.Ctl({"destroy", "-d", "db"}).exit_code, 0);
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
    return absl::StrContains(cluster_.Ctl({"ls", "--trash"}).output, id);
  })) << cluster_.Ctl({"ls", "--trash"}).output;
  EXPECT_TRUE(std::filesystem::exists(lun));

  MakeOnAlpha("db", "another");
  EXPECT_EQ(cluster_.Ctl({"restore", "db"}).exit_code, 4);  // exists
  const CommandResult restored = cluster_.Ctl({"restore", "db", "--to", "beta", "--name", "old"});
  ASSERT_EQ(restored.exit_code, 0) << restored.output;
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "old") + "/file").value_or("unread"), "kept");
  EXPECT_EQ(cluster_.Find("old")->id, id);
  EXPECT_FALSE(absl::StrContains(cluster_.Ctl({"ls", "--trash"}).output, id));

  ASSERT_EQ(cluster_.Ctl({"destroy", "-d", "old"}).exit_code, 0);
  const CommandResult purged = cluster_.Ctl({"purge", id});
  ASSERT_EQ(purged.exit_code, 0) << purged.output;
  EXPECT_FALSE(std::filesystem::exists(lun));
  EXPECT_FALSE(absl::StrContains(cluster_.Ctl({"ls", "--deleted"}).output, id));
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "another");
}

TEST_F(Flockerctl, AnswersARefusalWithItsExitCodeAndTheHolder) {
  MakeOnAlpha("db");
  const unique_fd held(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  const CommandResult moved = cluster_.Ctl({"move", "-d", "db", "-t", "beta"});
  EXPECT_EQ(moved.exit_code, 5) << moved.output;  // busy
  EXPECT_TRUE(absl::StrContains(moved.output, std::to_string(getpid()))) << moved.output;
  EXPECT_EQ(cluster_.Ctl({"move", "-d", "nothing", "-t", "beta"}).exit_code, 3);  // not-found
  EXPECT_EQ(cluster_.Ctl({"move", "-d", "db", "-t", "gamma"}).exit_code, 3);
  EXPECT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db"}).exit_code, 4);              // exists
  EXPECT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=x", "-s", "1M"}).exit_code, 16);  // range
  EXPECT_EQ(cluster_.Ctl({"why", "nothing"}).exit_code, 3);
}

}  // namespace
}  // namespace flocker::testing
