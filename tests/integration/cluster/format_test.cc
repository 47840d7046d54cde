// The first mount of a fresh filesystem, which readies its root at a path nobody is told of.
#include <signal.h>
#include <sys/mount.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class Format : public ClusterTest {
 protected:
  void TearDown() override { kill(cluster_.agent("alpha").pid(), SIGCONT); }
};

// A try is cut short when the agent is killed there.
TEST_F(Format, IsNotHeldUpByWhatAnEarlierTryLeftMounted) {
  const pid_t agent = cluster_.agent("alpha").pid();
  ASSERT_EQ(kill(agent, SIGSTOP), 0);
  const CommandResult made = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "64M"});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const std::string left = absl::StrCat(cluster_.dir(), "/alpha/format/", cluster_.Id("db"), ".1");
  ASSERT_EQ(MakeDir(left), 0);
  ASSERT_EQ(mount("tmpfs", left.c_str(), "tmpfs", 0, "size=1m"), 0);
  ASSERT_EQ(kill(agent, SIGCONT), 0);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return cluster_.AttachedOn("alpha", "db"); }))
      << cluster_.Ctl({"events"}).output;
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "content"), 0);
}

}  // namespace
}  // namespace flocker::testing
