// flocker-fs dies, or is replaced, and the tree stays mounted: containers that have bound a path of it go on.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/mountinfo.h"
#include "tests/harness/fio.h"
#include "tests/harness/scratch.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class TreeProcess : public ClusterTest {
 protected:
  pid_t Pid() const { return cluster_.TreeDaemon("alpha"); }
  // The tree's mount, by its number; 0 when there is none.
  int Mount() const {
    const auto mount = FindMount(cluster_.tree("alpha"));
    return mount.ok() && mount->has_value() ? (*mount)->id : 0;
  }
  // Returns when another one runs.
  void KillFs(int signal = SIGKILL) {
    const pid_t before = Pid();
    ASSERT_GT(before, 0);
    ASSERT_EQ(kill(before, signal), 0);
    ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return Pid() > 0 && Pid() != before; }));
  }
};

TEST_F(TreeProcess, KilledUnderLoadIsAPauseForFilesAndBindMounts) {
  MakeOnAlpha("db");
  const std::string bound = cluster_.dir() + "/container";
  ASSERT_TRUE(std::filesystem::create_directory(bound));
  ASSERT_EQ(mount(cluster_.Path("alpha", "db").c_str(), bound.c_str(), nullptr, MS_BIND, nullptr), 0);
  const int before = Mount();
  Fio direct(bound + "/direct", cluster_.dir() + "/direct.log", 32, 1500, true);
  Fio synced(cluster_.Path("alpha", "db") + "/synced", cluster_.dir() + "/synced.log", 16, 600, false);
  int kills = 0;
  for (; kills < 10 && direct.running(); ++kills) {
    const double progress = direct.Progress();
    ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return direct.Progress() > progress || !direct.running(); }));
    ASSERT_NO_FATAL_FAILURE(KillFs());
    EXPECT_EQ(ReadFile(bound + "/file").value_or("unread"), "content\n");
  }
  EXPECT_GT(kills, 3);
  for (Fio* fio : {&direct, &synced}) {
    const absl::Status status = fio->Finish(absl::Minutes(2));
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Mount(), before);
  EXPECT_EQ(umount2(bound.c_str(), 0), 0) << errno;
  EXPECT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");  // and nothing of it is held
}

TEST_F(TreeProcess, KilledUnderAnAgentThatWasRestartedKeepsItsMount) {
  MakeOnAlpha("db");
  const int before = Mount();
  const unique_fd file(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  ASSERT_NO_FATAL_FAILURE(KillFs());
  char byte = 0;
  EXPECT_EQ(pread(file.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'c');
  EXPECT_EQ(Mount(), before);
}

TEST_F(TreeProcess, ASuccessorWhoseAgentDiesAtOnceIsFoundByTheNextAgent) {
  MakeOnAlpha("db");
  const int before = Mount();
  const unique_fd file(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  const pid_t first = Pid();
  ASSERT_EQ(kill(first, SIGKILL), 0);
  pid_t successor = -1;
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return (successor = Pid()) > 0 && successor != first; }));
  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_EQ(Pid(), successor);
  EXPECT_EQ(Mount(), before);
  char byte = 0;
  EXPECT_EQ(pread(file.get(), &byte, 1, 0), 1);
}

TEST_F(TreeProcess, UnmountedBySomebodyElseIsMountedAnew) {
  MakeOnAlpha("db");
  const pid_t before = Pid();
  ASSERT_EQ(umount2(cluster_.tree("alpha").c_str(), MNT_DETACH), 0);
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] {
    return Mount() != 0 && Pid() != before && Open(cluster_.Path("alpha", "db") + "/file") == 0;
  })) << cluster_.agent("alpha").log();
}

TEST_F(TreeProcess, WhatIsOpenInASuccessorHoldsADataset) {
  MakeOnAlpha("db");
  const unique_fd file(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_NO_FATAL_FAILURE(KillFs());
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY) << cluster_.Why("db");
  EXPECT_TRUE(cluster_.AttachedOn("alpha", "db"));
}

TEST(TreeUpgrade, OfItsBinaryFailsNothing) {
  namespace fs = std::filesystem;
  const ScratchDir binaries;
  for (const char* name : {"flocker-agent", "flocker-lun", "flocker-fs"}) {
    fs::copy_file(absl::StrCat(FLOCKER_BIN_DIR, "/", name), binaries / name);
  }
  TestCluster cluster({.nodes = {"alpha"}, .agent_binaries = binaries.path()});
  ASSERT_TRUE(cluster.Start().ok());
  ASSERT_EQ(MakeDir(cluster.Path("alpha", "db")), 0) << cluster.Why("db");
  const std::string file = cluster.Path("alpha", "db") + "/file";
  ASSERT_EQ(WriteFile(file, "content\n"), 0);
  const auto before = FindMount(cluster.tree("alpha"));
  const pid_t pid = cluster.TreeDaemon("alpha");
  // A program that runs is replaced, not overwritten.
  fs::copy_file(absl::StrCat(FLOCKER_BIN_DIR, "/flocker-fs"), binaries / "new");
  fs::rename(binaries / "new", binaries / "flocker-fs");
  ASSERT_TRUE(cluster.agent("alpha").Stop().ok());
  ASSERT_TRUE(cluster.StartAgent("alpha").ok());
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    const pid_t now = cluster.TreeDaemon("alpha");
    return now > 0 && now != pid;
  })) << cluster.agent("alpha").log();
  EXPECT_EQ(ReadFile(file).value_or("unread"), "content\n");
  const auto after = FindMount(cluster.tree("alpha"));
  ASSERT_TRUE(before.ok() && before->has_value() && after.ok() && after->has_value());
  EXPECT_EQ((*after)->id, (*before)->id);
}

TEST(TreeUpgrade, OneThatCouldNotGoOnWithTheTreeIsNotUsed) {
  namespace fs = std::filesystem;
  const ScratchDir binaries;
  for (const char* name : {"flocker-agent", "flocker-lun", "flocker-fs"}) {
    fs::copy_file(absl::StrCat(FLOCKER_BIN_DIR, "/", name), binaries / name);
  }
  TestCluster cluster({.nodes = {"alpha"}, .agent_binaries = binaries.path()});
  ASSERT_TRUE(cluster.Start().ok());
  ASSERT_EQ(MakeDir(cluster.Path("alpha", "db")), 0) << cluster.Why("db");
  const pid_t pid = cluster.TreeDaemon("alpha");
  // A release that has changed what is saved.
  ASSERT_TRUE(
      ReplaceFile(binaries / "flocker-fs", absl::StrCat("#!/bin/sh\ncase \"$*\" in *--fits*) exit 1 ;; esac\nexec ",
                                                        FLOCKER_BIN_DIR, "/flocker-fs \"$@\"\n"))
          .ok());
  ASSERT_EQ(chmod((binaries / "flocker-fs").c_str(), 0755), 0);
  ASSERT_TRUE(cluster.agent("alpha").Stop().ok());
  ASSERT_TRUE(cluster.StartAgent("alpha").ok());
  // And it serves: EROFS until it has found the new agent.
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return MakeDir(cluster.Path("alpha", "db2")) == 0; }))
      << cluster.Why("db2");
  EXPECT_EQ(cluster.TreeDaemon("alpha"), pid) << cluster.agent("alpha").log();
}

TEST(TreeHello, OneThatNeverSaysItIsFollowedByTheNext) {
  namespace fs = std::filesystem;
  const ScratchDir binaries;
  for (const char* name : {"flocker-agent", "flocker-lun"}) {
    fs::copy_file(absl::StrCat(FLOCKER_BIN_DIR, "/", name), binaries / name);
  }
  // The second that is started hangs, with the mount's descriptors in its hands.
  const std::string count = binaries / "started";
  ASSERT_TRUE(ReplaceFile(binaries / "flocker-fs",
                          absl::StrCat("#!/bin/sh\necho x >>", count, "\n[ $(wc -l <", count,
                                       ") -eq 2 ] && exec sleep 1000\nexec ", FLOCKER_BIN_DIR, "/flocker-fs \"$@\"\n"))
                  .ok());
  ASSERT_EQ(chmod((binaries / "flocker-fs").c_str(), 0755), 0);
  TestCluster cluster({.nodes = {"alpha"}, .agent_binaries = binaries.path()});
  ASSERT_TRUE(cluster.Start().ok());
  ASSERT_EQ(MakeDir(cluster.Path("alpha", "db")), 0) << cluster.Why("db");
  const std::string file = cluster.Path("alpha", "db") + "/file";
  ASSERT_EQ(WriteFile(file, "content\n"), 0);
  const unique_fd held(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const auto before = FindMount(cluster.tree("alpha"));
  ASSERT_EQ(kill(cluster.TreeDaemon("alpha"), SIGKILL), 0);
  char byte = 0;
  EXPECT_EQ(pread(held.get(), &byte, 1, 0), 1);  // waits for the third
  EXPECT_EQ(byte, 'c');
  EXPECT_EQ(ReadFile(count).value_or("unread"), "x\nx\nx\n");
  const auto after = FindMount(cluster.tree("alpha"));
  ASSERT_TRUE(before.ok() && before->has_value() && after.ok() && after->has_value());
  EXPECT_EQ((*after)->id, (*before)->id);
}

}  // namespace
}  // namespace flocker::testing
