// The mass-failure valve (DESIGN §4): from four nodes up, when more than a third vanished within 30 s, it is rather the
// network that failed, and nothing is taken off them unless somebody says so.
#include <signal.h>

#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class Valve : public ClusterTest {
 protected:
  // A short time to count as down: here it is only in the way.
  Valve()
      : ClusterTest({.nodes = {"alpha", "beta", "gamma", "delta"}, .control_flags = {"--heartbeat-timeout", "2"}}) {}

  void SetUp() override {
    ClusterTest::SetUp();
    for (const char* name : {"db", "db2", "db3"}) MakeOnAlpha(name);
  }
  void Kill(const std::string& node) {
    cluster_.SignalNode(node, SIGKILL);
    ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened(absl::StrCat("node ", node, " was silent")); }));
  }
  int MvToBeta(const std::string& name) {
    return Rename(absl::StrCat(cluster_.tree("beta"), "/alpha/", name), cluster_.Path("beta", name));
  }
};

TEST_F(Valve, OneOfFourNodesIsFenced) {
  ASSERT_NO_FATAL_FAILURE(Kill("alpha"));
  ASSERT_EQ(MvToBeta("db"), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "content\n");
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
}

TEST_F(Valve, HalfOfThemAreNotUnlessForced) {
  ASSERT_NO_FATAL_FAILURE(Kill("alpha"));
  ASSERT_NO_FATAL_FAILURE(Kill("delta"));
  EXPECT_EQ(MvToBeta("db"), EHOSTDOWN);
  EXPECT_TRUE(absl::StrContains(cluster_.Why("db"), "move --force")) << cluster_.Why("db");
  EXPECT_EQ(RemoveDir(absl::StrCat(cluster_.tree("beta"), "/alpha/db2")), EHOSTDOWN);
  EXPECT_TRUE(Eventually(kPatience, [&] { return cluster_.AttachedOn("alpha", "db"); })) << "something has changed";
  EXPECT_FALSE(cluster_.Happened("fenced"));

  CommandResult forced = cluster_.Ctl({"move", "-d", "db", "-t", "beta"});
  EXPECT_NE(forced.exit_code, 0) << forced.output;
  forced = cluster_.Ctl({"move", "-d", "db", "-t", "beta", "--force"});
  ASSERT_EQ(forced.exit_code, 0) << forced.output;
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "content\n");
  forced = cluster_.Ctl({"destroy", "-d", "db2", "--force"});
  ASSERT_EQ(forced.exit_code, 0) << forced.output;
  EXPECT_EQ(MvToBeta("db3"), EHOSTDOWN) << "--force is for one operation";

  // Somebody is back: what was refused is not any more.
  ASSERT_TRUE(cluster_.StartAgent("delta").ok());
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("fences are allowed again"); }));
  ASSERT_EQ(MvToBeta("db3"), 0) << cluster_.Why("db3");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db3") + "/file").value_or("unread"), "content\n");
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
}

TEST_F(Valve, ARestartedControlThatFindsHalfOfThemMissingDoesNotFence) {
  cluster_.control().Kill();
  for (const char* node : {"alpha", "delta"}) cluster_.SignalNode(node, SIGKILL);
  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Connected("beta") && cluster_.Connected("gamma"); }));
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("node delta was silent"); }));
  EXPECT_EQ(MvToBeta("db"), EHOSTDOWN);
  EXPECT_FALSE(cluster_.Happened("fenced"));
  for (const char* node : {"alpha", "delta"}) ASSERT_TRUE(cluster_.StartAgent(node).ok());
}

}  // namespace
}  // namespace flocker::testing
