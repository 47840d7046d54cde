// A node that is rebooted: its processes, mounts and loop devices are gone, its disk is as it was. Everything desired
// there comes back without anyone's help; what was moved away meanwhile does not.
#include <signal.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class Reboot : public ClusterTest {
 protected:
  Reboot() : ClusterTest({.control_flags = {"--heartbeat-timeout", "2"}}) {}

  // What a power cut leaves of alpha: its disk.
  void CutPower() {
    cluster_.SignalNode("alpha", SIGKILL);
    const auto swept = RunCommand(
        {FLOCKER_SOURCE_DIR "/scripts/sweep", cluster_.dir() + "/alpha", cluster_.tree("alpha")}, absl::Minutes(1));
    ASSERT_TRUE(swept.ok()) << swept.status();
    ASSERT_EQ(swept->exit_code, 0) << swept->output;
  }
};

TEST_F(Reboot, BringsBackWhatIsDesiredThereAndLeavesAloneWhatWasMovedAway) {
  for (const char* name : {"a", "b", "damaged", "moved", "destroyed"}) MakeOnAlpha(name, name);
  const std::string damaged = cluster_.BackingFile("damaged");
  const std::string before = cluster_.NativePath("alpha", "a");
  ASSERT_NO_FATAL_FAILURE(CutPower());
  ASSERT_EQ(Rename(cluster_.tree("beta") + "/alpha/moved", cluster_.Path("beta", "moved")), 0) << cluster_.Why("moved");
  ASSERT_EQ(RemoveDir(cluster_.tree("beta") + "/alpha/destroyed"), 0) << cluster_.Why("destroyed");
  ASSERT_EQ(WriteFile(cluster_.Path("beta", "moved") + "/file", "beta's"), 0);
  // The kernel found something wrong before the power was cut: e2fsck is due, and finds a count to correct.
  const auto marked = RunChecked({"debugfs", "-w", "-R", "set_super_value state 2", damaged}, absl::Seconds(20));
  ASSERT_TRUE(marked.ok()) << marked.status();

  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  for (const char* name : {"a", "b", "damaged"}) {
    EXPECT_TRUE(Eventually(kPatience, [&] { return cluster_.AttachedOn("alpha", name); })) << cluster_.Why(name);
    EXPECT_EQ(ReadFile(cluster_.Path("alpha", name) + "/file").value_or("unread"), name);
  }
  EXPECT_NE(cluster_.NativePath("alpha", "a"), before) << "a path was used twice";
  EXPECT_TRUE(cluster_.Happened("damaged  checked")) << cluster_.Ctl({"events"}).output;
  EXPECT_TRUE(cluster_.AttachedOn("beta", "moved"));
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "moved") + "/file").value_or("unread"), "beta's");
  // Of what is not here any more, not even an empty directory: a container would be started on it.
  for (const std::string& line : cluster_.Belongings()) {
    EXPECT_FALSE(absl::StrContains(line, cluster_.dir() + "/alpha/") && absl::StrContains(line, cluster_.Id("moved")))
        << line;
  }
  const auto left = RunChecked({"ls", cluster_.dir() + "/alpha/mnt"}, absl::Seconds(5));
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_FALSE(absl::StrContains(*left, cluster_.Id("moved"))) << *left;
}

TEST_F(Reboot, OfTheWholeMachineControlAndArrayIncluded) {
  MakeOnAlpha("db");
  cluster_.control().Kill();
  ASSERT_NO_FATAL_FAILURE(CutPower());
  cluster_.array().Kill();
  cluster_.array().Start();
  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_TRUE(Eventually(kPatience, [&] { return cluster_.AttachedOn("alpha", "db"); })) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "content\n");
}

}  // namespace
}  // namespace flocker::testing
