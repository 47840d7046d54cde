// dockerd, the plugin and the line between them fail: whether a volume is in use stays what the kernel says.
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <thread>

#include "absl/strings/match.h"
#include "engine/base/file.h"
#include "tests/docker/plugin/docker_test.h"

namespace flocker::testing {
namespace {

using Restart = DockerTest;

TEST_F(Restart, DockerCpTakesNothingFromARunningContainer) {
  StartWriter(alpha_, "db");
  const std::string file = cluster_.dir() + "/copied";
  ASSERT_EQ(WriteFile(file, "copied\n"), 0);
  EXPECT_EQ(alpha_.Docker({"cp", file, "writer:/data/copied"}).exit_code, 0);
  EXPECT_EQ(alpha_.Docker({"cp", "writer:/data/copied", file + ".back"}).exit_code, 0);
  EXPECT_EQ(ReadFile(file + ".back").value_or("unread"), "copied\n");
  EXPECT_TRUE(Writes("alpha", "db"));
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  EXPECT_EQ(alpha_.Docker({"rm", "--force", "writer"}).exit_code, 0);
  EXPECT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
}

TEST_F(Restart, OfAKilledDockerdLosesNoUseAndKeepsNone) {
  StartWriter(alpha_, "db");
  alpha_.Kill();
  EXPECT_TRUE(Writes("alpha", "db"));
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  const absl::Status up = alpha_.Start();  // without live-restore it ends what ran
  ASSERT_TRUE(up.ok()) << up;
  const CommandResult started = alpha_.Docker({"start", "writer"});
  ASSERT_EQ(started.exit_code, 0) << started.output;
  EXPECT_TRUE(Writes("alpha", "db"));
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  EXPECT_EQ(alpha_.Docker({"rm", "--force", "writer"}).exit_code, 0);
  EXPECT_EQ(Once(beta_, "db", "test -s /data/log && echo there"), "there\n");
}

class LiveRestore : public DockerTest {
 protected:
  LiveRestore() : DockerTest({}, {"--live-restore"}) {}
};

TEST_F(LiveRestore, OfAKilledDockerdLosesNoUseAndKeepsNone) {
  StartWriter(alpha_, "db");
  alpha_.Kill();
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  const absl::Status up = alpha_.Start();
  ASSERT_TRUE(up.ok()) << up;
  EXPECT_TRUE(Writes("alpha", "db"));  // the same container all the time
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  EXPECT_EQ(alpha_.Docker({"rm", "--force", "writer"}).exit_code, 0);
  EXPECT_EQ(Once(beta_, "db", "test -s /data/log && echo there"), "there\n");
}

TEST_F(Restart, OfThePluginIsNotNoticedByContainers) {
  StartWriter(alpha_, "db");
  cluster_.agent("alpha").Kill();
  EXPECT_TRUE(Writes("alpha", "db"));
  // Meanwhile dockerd tries again and again.
  std::string output;
  std::thread runs([&] { output = Once(alpha_, "db", "test -s /data/log && echo there"); });
  const absl::Status up = cluster_.StartAgent("alpha");
  runs.join();
  ASSERT_TRUE(up.ok()) << up;
  EXPECT_EQ(output, "there\n");
  EXPECT_TRUE(Writes("alpha", "db"));
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  EXPECT_EQ(alpha_.Docker({"rm", "--force", "writer"}).exit_code, 0);
  EXPECT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
}

TEST_F(Restart, OfThePluginWhileAMountWaitsLeavesNothingBehind) {
  ASSERT_EQ(Once(alpha_, "db", "echo one >/data/file"), "");
  // Control stands still, so the mount on beta cannot be answered when its connection drops. dockerd repeats the
  // request without a body, which is refused; whoever runs the container again gets it.
  ASSERT_EQ(kill(cluster_.control().pid(), SIGSTOP), 0);
  CommandResult dropped;
  std::thread runs([&] { dropped = beta_.Run(With("db", {"--rm", "box", "cat", "/data/file"})); });
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    return absl::StrContains(cluster_.agent("beta").log(), "dockerd waits for volume db");
  }));
  cluster_.agent("beta").Kill();
  EXPECT_EQ(kill(cluster_.control().pid(), SIGCONT), 0);
  const absl::Status up = cluster_.StartAgent("beta");
  runs.join();
  ASSERT_TRUE(up.ok()) << up;
  EXPECT_EQ(dropped.exit_code, 125) << dropped.output;
  EXPECT_TRUE(absl::StrContains(dropped.output, "without a body")) << dropped.output;
  EXPECT_EQ(Once(beta_, "db", "cat /data/file"), "one\n");
  EXPECT_EQ(Mv("db", "beta", "alpha"), 0) << cluster_.Why("db");
}

}  // namespace
}  // namespace flocker::testing
