// A LUN server that stands still, with a writer behind it: nobody else on the node waits for it, not even an agent that
// starts or ends, and once it goes on nothing has happened. FLOCKER_PAUSE: for how many seconds at least; by hand 90.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/cluster.h"
#include "tests/harness/numbered_writer.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);
// For what takes a fraction of that when nothing is in its way.
constexpr absl::Duration kPrompt = absl::Seconds(5);

absl::Duration LeastPause() {
  double seconds = 0;
  const char* wanted = std::getenv("FLOCKER_PAUSE");
  return wanted != nullptr && absl::SimpleAtod(wanted, &seconds) ? absl::Seconds(seconds) : absl::ZeroDuration();
}

class LunPaused : public ::testing::Test {
 protected:
  LunPaused() : watchdog_(cluster_.dir(), absl::Minutes(2) + LeastPause()) {}

  void SetUp() override {
    ASSERT_TRUE(cluster_.Start().ok());
    Make("stuck");
    Make("free");
    native_ = cluster_.NativePath("alpha", "stuck");
    ASSERT_FALSE(native_.empty());
    writer_ = std::make_unique<NumberedWriter>(native_ + "/numbers", "stuck");
    ASSERT_TRUE(Eventually(kPatience, [&] { return writer_->acknowledged() > 50; }));
    server_ = cluster_.LunServer("stuck");
    auto pidfd = OpenPidfd(server_);
    ASSERT_TRUE(pidfd.ok());
    pidfd_ = *std::move(pidfd);
    Signal(SIGSTOP);
  }
  void TearDown() override {
    Signal(SIGCONT);
    writer_.reset();
  }

  void Signal(int signal) const { syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0); }

  // A dataset on alpha with one file in it.
  void Make(const std::string& name) {
    ASSERT_EQ(MakeDir(cluster_.Path("alpha", name)), 0) << cluster_.Why(name);
    ASSERT_EQ(WriteFile(cluster_.Path("alpha", name) + "/file", "content\n"), 0);
  }

  static void Promptly(const std::string& what, const std::function<void()>& call) {
    const absl::Time begin = SteadyNow();
    call();
    const absl::Duration took = SteadyNow() - begin;
    std::cerr << what << ": " << took << "\n";
    EXPECT_LE(took, kPrompt) << what;
  }

  void Move(const std::string& name, const std::string& from, const std::string& to) {
    EXPECT_EQ(Rename(absl::StrCat(cluster_.tree(from), "/", from, "/", name),
                     absl::StrCat(cluster_.tree(from), "/", to, "/", name)),
              0)
        << cluster_.Why(name);
    EXPECT_EQ(ReadFile(cluster_.Path(to, name) + "/file").value_or("unread"), "content\n");
  }

  void StartAgent() {
    Promptly("a new agent", [&] {
      ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
      // The tree is read-only until flocker-fs has heard from the new agent.
      const std::string here = cluster_.Path("alpha", "free");
      ASSERT_TRUE(Eventually(kPatience, [&] { return Rename(here, here + ".") == 0; }));
      ASSERT_EQ(Rename(here + ".", here), 0);
    });
  }

  // All that may be done to datasets that are not stuck.
  void UseTheOthers() {
    Promptly("written and synced", [&] {
      EXPECT_EQ(WriteFile(cluster_.Path("alpha", "free") + "/through-the-tree", "one"), 0);
      EXPECT_EQ(WriteFile(cluster_.NativePath("alpha", "free") + "/natively", "two"), 0);
    });
    Promptly("listed", [&] {
      const auto listed = RunCommand({"ls", "-l", cluster_.tree("alpha") + "/alpha"}, kPatience);
      EXPECT_TRUE(listed.ok() && listed->exit_code == 0 && absl::StrContains(listed->output, "stuck"));
    });
    Promptly("a holder is named", [&] {
      const unique_fd held(open((cluster_.NativePath("alpha", "free") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_TRUE(held);
      EXPECT_EQ(RemoveDir(cluster_.Path("alpha", "free")), EBUSY);
      EXPECT_TRUE(absl::StrContains(cluster_.Why("free"), absl::StrCat("pid ", getpid()))) << cluster_.Why("free");
    });
    Promptly("moved away", [&] { Move("free", "alpha", "beta"); });
    Promptly("moved back", [&] { Move("free", "beta", "alpha"); });
    Promptly("a new one made", [&] { Make("new"); });
    Promptly("and destroyed", [&] { EXPECT_EQ(RemoveDir(cluster_.Path("alpha", "new")), 0) << cluster_.Why("new"); });
  }

  TestCluster cluster_;
  const Watchdog watchdog_;
  std::unique_ptr<NumberedWriter> writer_;
  std::string native_;  // of the one that is stuck
  pid_t server_ = -1;
  unique_fd pidfd_;
};

TEST_F(LunPaused, HoldsUpNobodyElse) {
  const absl::Time begin = SteadyNow();
  // A release that waits for the paused device.
  const auto release = SpawnChild(
      {.argv = {absl::StrCat(FLOCKER_BIN_DIR, "/flockerctl"), "--control",
                absl::StrCat("unix:", cluster_.dir(), "/control.sock"), "move", "-d", "stuck", "-t", "beta"}});
  ASSERT_TRUE(release.ok()) << release.status();
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("move of stuck asked"); }));
  UseTheOthers();
  cluster_.agent("alpha").Kill();
  StartAgent();
  UseTheOthers();
  Promptly("an agent's end", [&] { EXPECT_TRUE(cluster_.agent("alpha").Stop().ok()); });
  StartAgent();
  ASSERT_TRUE(Eventually(LeastPause() + kPatience, [&] { return SteadyNow() - begin >= LeastPause(); }));

  const uint64_t so_far = writer_->acknowledged();
  Signal(SIGCONT);
  EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->acknowledged() > so_far + 50; }));
  EXPECT_EQ(writer_->error(), 0);
  // The release, too: the writer is in its way.
  EXPECT_TRUE(Eventually(kPatience, [&] { return absl::StrContains(cluster_.Why("stuck"), "held by"); }))
      << cluster_.Why("stuck");
  EXPECT_TRUE(WaitEnd(release->pidfd, kPatience));
  EXPECT_TRUE(Eventually(kPatience, [&] { return cluster_.AttachedOn("alpha", "stuck"); }));
  EXPECT_EQ(cluster_.LunServer("stuck"), server_);
  EXPECT_EQ(cluster_.NativePath("alpha", "stuck"), native_);
  for (const char* event : {"not-held", "dropped", "fenced"}) EXPECT_FALSE(cluster_.Happened(event)) << event;
  writer_->Kill();
  ASSERT_TRUE(Eventually(kPatience, [&] { return writer_->Ended(); }));
  EXPECT_GE(HighestNumber(native_ + "/numbers", "stuck").value_or(0), writer_->acknowledged());
  Move("stuck", "alpha", "beta");
}

TEST_F(LunPaused, AndKilledBeforeTheNextAgentHeardOfItIsAttachedAnew) {
  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  Signal(SIGKILL);
  EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->error() == EIO || writer_->error() == EROFS; }));
  const uint64_t acknowledged = writer_->acknowledged();
  writer_.reset();
  EXPECT_TRUE(Eventually(kPatience, [&] {
    return cluster_.AttachedOn("alpha", "stuck") && cluster_.NativePath("alpha", "stuck") != native_;
  })) << cluster_.Why("stuck");
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "stuck") + "/file").value_or("unread"), "content\n");
  EXPECT_GE(HighestNumber(cluster_.Path("alpha", "stuck") + "/numbers", "stuck").value_or(0), acknowledged);
}

}  // namespace
}  // namespace flocker::testing
