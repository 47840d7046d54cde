// Agent and LUN server die together, and the service manager's store keeps what the next ones need: a pause, no error.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/mountinfo.h"
#include "lun_victim.h"
#include "tests/harness/cluster.h"
#include "tests/harness/fio.h"
#include "tests/harness/service_manager.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

class DescriptorStore : public ::testing::Test {
 protected:
  DescriptorStore()
      : cluster_({.nodes = {"alpha"}}),
        watchdog_(cluster_.dir(), absl::Minutes(3)),
        manager_(cluster_.dir() + "/notify") {
    cluster_.agent("alpha").set_prepare([this](ChildOptions& options) { manager_.Prepare(options); });
  }

  void StartWithDataset() {
    ASSERT_TRUE(cluster_.Start().ok());
    const CommandResult created = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "256M"});
    ASSERT_EQ(created.exit_code, 0) << created.output;
    ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return cluster_.AttachedOn("alpha", "db"); }))
        << cluster_.Why("db");
  }

  ::testing::AssertionResult StoreHolds(size_t count) {
    return Eventually(absl::Seconds(10), [&] { return manager_.Names().size() == count; })
           << absl::StrJoin(manager_.Names(), ", ");
  }

  // /dev/fuse and arenas that the agent has open.
  size_t DescriptorsOfAgent() {
    size_t count = 0;
    const std::string directory = absl::StrCat("/proc/", cluster_.agent("alpha").pid(), "/fd");
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      std::error_code closed;
      const std::string target = std::filesystem::read_symlink(entry.path(), closed);
      const bool ours = target == "/dev/fuse" || absl::StrContains(target, "flocker-lun-arena") ||
                        absl::StrContains(target, "flocker-fs-state");
      if (ours) ++count;
    }
    return count;
  }

  // What the agent, and its store, have of the tree: /dev/fuse and the memory of its users' requests.
  static constexpr size_t kTree = 2;

  TestCluster cluster_;
  const Watchdog watchdog_;
  ServiceManager manager_;
};

TEST_F(DescriptorStore, AgentAndLunServerKilledTogetherIsAPauseAndNoError) {
  ASSERT_NO_FATAL_FAILURE(StartWithDataset());
  ASSERT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "content\n"), 0);
  ASSERT_TRUE(StoreHolds(2 + kTree));
  const std::string native = cluster_.NativePath("alpha", "db");
  const std::string id = cluster_.Id("db");
  const LunVictim victim(id, cluster_.dir());

  Fio many(native + "/many", cluster_.dir() + "/many.log", 64, 1500, /*direct=*/true);
  Fio synced(native + "/synced", cluster_.dir() + "/synced.log", 16, 400, /*direct=*/false);
  for (int round = 0; round < 4; ++round) {
    const double before = many.Progress();
    ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return many.Progress() > before + 0.05 || !many.running(); }));
    ASSERT_TRUE(many.running()) << "fio was done too early";
    // The agent first, so that it starts no successor; or the LUN server, and the agent while it does.
    const pid_t agent = cluster_.agent("alpha").pid();
    if (round % 2 == 0) kill(agent, SIGKILL);
    ASSERT_GT(victim.Kill(), 0);
    kill(agent, SIGKILL);
    cluster_.agent("alpha").Kill();
    EXPECT_EQ(manager_.Names().size(), 2 + kTree);
    ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
    ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return cluster_.AttachedOn("alpha", "db"); }))
        << cluster_.Why("db");
  }
  for (Fio* fio : {&many, &synced}) {
    const absl::Status status = fio->Finish(absl::Minutes(2));
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_TRUE(absl::StrContains(cluster_.agent("alpha").log(), "its flocker-lun ended with the agent"));
  const auto mount = FindMount(native);
  ASSERT_TRUE(mount.ok() && mount->has_value()) << "it was attached anew";
  EXPECT_FALSE((*mount)->WritesFail()) << (*mount)->super_options;
  EXPECT_EQ(DescriptorsOfAgent(), 2 + kTree);
  EXPECT_TRUE(StoreHolds(2 + kTree));

  const std::string backing = cluster_.BackingFile("db");
  const int removed = RemoveDir(cluster_.Path("alpha", "db"));
  ASSERT_TRUE(removed == 0 || removed == EINPROGRESS) << removed << cluster_.Why("db");
  ASSERT_TRUE(Eventually(absl::Minutes(1), [&] { return !cluster_.Find("db").has_value(); })) << cluster_.Why("db");
  const auto checked = RunCommand({"e2fsck", "-fn", backing}, absl::Minutes(1));
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->exit_code, 0) << checked->output;
  EXPECT_TRUE(StoreHolds(kTree));
  EXPECT_EQ(DescriptorsOfAgent(), kTree);
}

TEST_F(DescriptorStore, AnAgentAloneThatIsKilledFindsItsLunServerAndTheStoreAsTheyWere) {
  ASSERT_NO_FATAL_FAILURE(StartWithDataset());
  ASSERT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "content\n"), 0);
  ASSERT_TRUE(StoreHolds(2 + kTree));
  const pid_t server = cluster_.LunServer("db");
  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_EQ(cluster_.LunServer("db"), server);
  EXPECT_EQ(DescriptorsOfAgent(), 2 + kTree);
  EXPECT_TRUE(StoreHolds(2 + kTree));
}

TEST_F(DescriptorStore, AgentAndFlockerFsKilledTogetherLeaveTheTreeMounted) {
  ASSERT_NO_FATAL_FAILURE(StartWithDataset());
  const std::string path = cluster_.Path("alpha", "db") + "/file";
  ASSERT_EQ(WriteFile(path, "content\n"), 0);
  const unique_fd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(StoreHolds(2 + kTree));
  const auto before = FindMount(cluster_.tree("alpha"));
  ASSERT_TRUE(before.ok() && before->has_value());
  for (int round = 0; round < 3; ++round) {
    kill(cluster_.agent("alpha").pid(), SIGKILL);
    const pid_t pid = cluster_.TreeDaemon("alpha");
    ASSERT_GT(pid, 0);
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    cluster_.agent("alpha").Kill();
    ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
    EXPECT_EQ(pwrite(file.get(), "x", 1, round), 1);
    const auto after = FindMount(cluster_.tree("alpha"));
    ASSERT_TRUE(after.ok() && after->has_value());
    EXPECT_EQ((*after)->id, (*before)->id) << "it is another mount";
  }
  EXPECT_EQ(ReadFile(path).value_or("unread"), "xxxtent\n");
}

TEST_F(DescriptorStore, TheAgentSaysThatItIsReadyAndThatItLives) {
  ASSERT_TRUE(cluster_.Start().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return manager_.Heard("READY=1") && manager_.Heard("WATCHDOG=1"); }));
}

TEST_F(DescriptorStore, WhatNobodyClaimsIsClosedAndRemoved) {
  const std::string name = "0b6c7d1e-7a39-4b7c-9e55-1f2d3c4b5a69.7";
  manager_.Store(name + ".fuse", unique_fd(open("/dev/fuse", O_RDWR | O_CLOEXEC)));
  manager_.Store(name + ".arena", unique_fd(memfd_create("flocker-lun-arena", MFD_CLOEXEC)));
  manager_.Store("of-nobody", unique_fd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
  ASSERT_TRUE(cluster_.Start().ok());
  EXPECT_TRUE(StoreHolds(kTree));
  EXPECT_EQ(DescriptorsOfAgent(), kTree);
}

}  // namespace
}  // namespace flocker::testing
