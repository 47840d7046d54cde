// A fenced filesystem that a container will not let go of: it lingers, dead, and is in nobody's way.
//
//   holder's namespace: bind mount, open file --> dead ext4 -> loop -> FUSE file, aborted     (reaped with the holder)
//   alpha again:                                  ext4      -> loop -> FUSE file -> flocker-lun    fresh paths, fresh
//   loop
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/mountinfo.h"
#include "tests/harness/holder_child.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class Lingering : public ClusterTest {
 protected:
  Lingering() : ClusterTest({.control_flags = {"--heartbeat-timeout", "2"}}) {}

  // What one attachment on alpha stands on, as the kernel numbers it.
  struct Stack {
    std::string mount;
    std::string loop;  // its directory in /sys/block
    uint64_t sequence = 0;
    std::string connection;  // in fusectl
    pid_t server = -1;
  };
  Stack StackOf(const std::string& dataset) {
    Stack stack;
    stack.mount = cluster_.NativePath("alpha", dataset);
    const auto mounted = FindMount(stack.mount);
    if (!mounted.ok() || !mounted->has_value()) return stack;
    stack.loop = absl::StrCat("/sys/dev/block/7:", minor((*mounted)->device));
    stack.sequence = Sequence(stack.loop);
    std::string file = ReadFile(stack.loop + "/loop/backing_file").value_or("");
    file.resize(file.find_last_not_of('\n') + 1);
    const auto fuse = FindMount(file);
    if (fuse.ok() && fuse->has_value()) {
      stack.connection = absl::StrCat("/sys/fs/fuse/connections/", minor((*fuse)->device));
    }
    stack.server = cluster_.LunServer(dataset);
    return stack;
  }
  static uint64_t Sequence(const std::string& loop) {
    return std::strtoull(ReadFile(loop + "/diskseq").value_or("0").c_str(), nullptr, 10);
  }
  static bool LoopExists(const Stack& stack) {
    return std::filesystem::exists(stack.loop + "/loop/backing_file") && Sequence(stack.loop) == stack.sequence;
  }
  static bool ConnectionExists(const Stack& stack) { return std::filesystem::exists(stack.connection); }

  // A container's view: a mount namespace in which the dataset is bound elsewhere, a file open in it, dirty data.
  std::function<bool()> Container(const std::string& source, const std::string& target) {
    return [=] {
      if (!BindElsewhere(source, target, "")()) return false;
      const int fd = open((target + "/held").c_str(), O_RDWR | O_CREAT, 0600);  // for as long as the process lives
      return fd >= 0 && write(fd, "dirty", 5) == 5;
    };
  }

  // Fences alpha's attachment while alpha is silent, and waits until alpha, back again, has cleaned up.
  void FenceAndWakeUp() {
    cluster_.SignalNode("alpha", SIGSTOP);
    ASSERT_EQ(Rename(absl::StrCat(cluster_.tree("beta"), "/alpha/db"), cluster_.Path("beta", "db")), 0)
        << cluster_.Why("db");
    cluster_.SignalNode("alpha", SIGCONT);
    ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("dropped"); })) << cluster_.Ctl({"events"}).output;
    ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Connected("alpha"); }));
  }
  void TearDown() override {
    cluster_.SignalNode("alpha", SIGCONT);
    holder_.reset();
  }

  std::optional<HolderChild> holder_;
};

TEST_F(Lingering, DeadFilesystemIsInNobodysWayAndGoesWithItsHolder) {
  MakeOnAlpha("db");
  const Stack dead = StackOf("db");
  ASSERT_NE(dead.connection, "");
  const std::string inside = cluster_.dir() + "/inside";
  std::filesystem::create_directory(inside);
  holder_.emplace(Container(dead.mount, inside));
  ASSERT_NO_FATAL_FAILURE(FenceAndWakeUp());

  EXPECT_TRUE(LoopExists(dead)) << "nothing lingers, so nothing is tested";
  EXPECT_TRUE(ConnectionExists(dead));
  EXPECT_FALSE(std::filesystem::exists(dead.mount)) << "its path stayed";
  EXPECT_NE(kill(dead.server, 0), 0) << "its LUN server stayed";
  // No I/O of it waits: neither the holder's own filesystem's sync, nor another's, nor all of them.
  const std::string there = absl::StrCat("/proc/", holder_->pid(), "/root", inside);
  const auto own = RunCommand({"sync", "--file-system", there}, absl::Seconds(10));
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_NE(own->exit_code, 0) << "a dead filesystem says that it synced";
  const auto other = RunCommand({"sync", "--file-system", cluster_.dir()}, absl::Seconds(10));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->exit_code, 0) << other->output;
  const auto all = SpawnChild({.argv = {"sync"}});  // not waited for longer than that: one that hangs cannot be killed
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_TRUE(WaitEnd(all->pidfd, absl::Seconds(20))) << "sync hangs";

  // The same dataset on the same node, while the dead one is still there.
  ASSERT_EQ(Rename(absl::StrCat(cluster_.tree("alpha"), "/beta/db"), cluster_.Path("alpha", "db")), 0)
      << cluster_.Why("db");
  ASSERT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "content\n");
  const Stack fresh = StackOf("db");
  EXPECT_TRUE(LoopExists(dead));
  EXPECT_NE(fresh.mount, dead.mount);
  EXPECT_NE(fresh.loop, dead.loop);
  EXPECT_NE(fresh.connection, dead.connection);
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "written beside the dead one"), 0);
  // And the dead one holds up neither the next release nor a restart of the agent.
  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  int moved = EROFS;  // so long as flocker-fs has not heard from the new agent that control can be reached
  ASSERT_TRUE(Eventually(kPatience, [&] { return (moved = Mv("db", "alpha", "beta")) != EROFS; }));
  ASSERT_EQ(moved, 0) << cluster_.Why("db");
  ASSERT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "written beside the dead one");

  EXPECT_TRUE(LoopExists(dead));
  holder_.reset();
  EXPECT_TRUE(Eventually(kPatience, [&] { return !LoopExists(dead) && !ConnectionExists(dead); }));
}

// A LUN server that answers nobody, the agent's fence included, does not hold up the clean-up.
TEST_F(Lingering, CleanUpDoesNotWaitForAStoppedLunServer) {
  MakeOnAlpha("db");
  const Stack dead = StackOf("db");
  ASSERT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "durable"), 0);
  const unique_fd held(open((dead.mount + "/dirty").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(held);
  ASSERT_EQ(write(held.get(), "dirty", 5), 5);
  cluster_.SignalNode("alpha", SIGSTOP);
  ASSERT_EQ(Rename(absl::StrCat(cluster_.tree("beta"), "/alpha/db"), cluster_.Path("beta", "db")), 0)
      << cluster_.Why("db");
  for (const pid_t pid : cluster_.Processes("alpha")) {
    if (pid != dead.server) kill(pid, SIGCONT);
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("dropped"); })) << cluster_.Ctl({"events"}).output;
  EXPECT_NE(fsync(held.get()), 0) << "a write after the fence is said to be durable";
  EXPECT_NE(kill(dead.server, 0), 0);
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "durable");
}

}  // namespace
}  // namespace flocker::testing
