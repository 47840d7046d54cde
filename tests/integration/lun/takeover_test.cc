// A successor of a dead flocker-lun (engine/lun/TAKEOVER.md), with the test as agent and control.
#include <fcntl.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/lun/arena.h"
#include "tests/harness/tcp_proxy.h"
#include "tests/harness/watchdog.h"
#include "tests/integration/lun/lun_rig.h"

namespace flocker::lun::testing {
namespace {

using flocker::testing::TcpProxy;
using flocker::testing::Watchdog;

// Writes one block of `c` at `offset` in a process of its own; its exit code, 0 when it went well. This process must
// not have the file open while its server is dead: the next program it starts would close its copy, which waits for the
// server, in the middle of an execve, and whoever looks at that process in /proc waits with it.
int WriteBlock(const std::string& file, char c, int block = 0) {
  const std::string script =
      absl::StrCat("head -c 4096 /dev/zero | tr '\\0' ", std::string(1, c), " | dd of=", file,
                   " bs=4096 iflag=fullblock oflag=direct conv=notrunc status=none seek=", block);
  const auto written = RunCommand({"sh", "-c", script}, absl::Seconds(40));
  return written.ok() ? written->exit_code : -1;
}

std::future<int> StartWrite(const LunRig& rig, char c, int block = 0) {
  return std::async(std::launch::async, WriteBlock, rig.file(), c, block);
}

char FirstByte(const std::string& file, off_t offset = 0) {
  const unique_fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  char c = '?';
  EXPECT_EQ(pread(fd.get(), &c, 1, offset), 1);
  return c;
}

bool RequestsWait(LunRig& rig, uint32_t count = 1) {
  return Eventually([&rig, count] {
    rig.Send(NewMessage<GetStatus>());
    const auto status = rig.Expect<Status>();
    return status.has_value() && status->in_flight >= count;
  });
}

TEST(LunTakeover, WhatWasNotAnsweredIsExecutedAgain) {
  std::future<int> write;
  std::future<int> other;
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto lent = rig.Reconnect();
  kill(rig.tgtd().pid(), SIGSTOP);  // so that it is on its way
  write = StartWrite(rig, 'a');
  EXPECT_TRUE(RequestsWait(rig));
  rig.Die();
  other = StartWrite(rig, 'b', 2);  // it waits in the kernel
  kill(rig.tgtd().pid(), SIGCONT);
  ASSERT_NO_FATAL_FAILURE(rig.StartSuccessor(lent));
  rig.Send(rig.Grant());
  const auto resumed = rig.Expect<Resumed>();
  ASSERT_TRUE(resumed.has_value());
  EXPECT_EQ(resumed->reissued, 1u);
  EXPECT_EQ(Outcome(write), 0);
  EXPECT_EQ(Outcome(other), 0);
  EXPECT_EQ(FirstByte(rig.backing()), 'a');
  EXPECT_EQ(FirstByte(rig.backing(), 8192), 'b');
  EXPECT_EQ(WriteBlock(rig.file(), 'c'), 0);
}

// As a release that changes the arena finds it.
void PassOffAsAnotherVersion(const LunClient::Received& lent) {
  const uint32_t version = kArenaVersion + 1;
  ASSERT_EQ(pwrite(lent.arena.get(), &version, sizeof version, offsetof(ArenaHeader, version)),
            ssize_t{sizeof version});
}

bool KernelHandsRequestsOutAgain() {
  utsname kernel{};
  int major = 0;
  int minor = 0;
  return uname(&kernel) == 0 && sscanf(kernel.release, "%d.%d", &major, &minor) == 2 &&
         std::pair(major, minor) >= std::pair(6, 9);
}

TEST(LunTakeover, TheKernelHasTheRequestsOfAnArenaThatCannotBeRead) {
  if (!KernelHandsRequestsOutAgain()) GTEST_SKIP() << "FUSE_NOTIFY_RESEND needs Linux 6.9";
  constexpr int kWrites = 6;
  std::vector<std::future<int>> writes;
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  auto lent = rig.Reconnect();
  const auto written = [&rig](char c) {
    for (int i = 0; i < kWrites; ++i) EXPECT_EQ(FirstByte(rig.backing(), 4096 * i), c) << "block " << i;
  };
  // Behind what the kernel knows of the file's size it lets in one write at a time.
  ASSERT_EQ(WriteBlock(rig.file(), '0', kWrites - 1), 0);
  // What succeeds such an arena is one like any other.
  for (const char c : {'a', 'b', 'c'}) {
    writes.clear();
    kill(rig.tgtd().pid(), SIGSTOP);  // so that they are on their way
    for (int i = 0; i < kWrites; ++i) writes.push_back(StartWrite(rig, c, i));
    EXPECT_TRUE(RequestsWait(rig, kWrites));
    rig.Die();
    kill(rig.tgtd().pid(), SIGCONT);
    if (c != 'b') {
      ASSERT_NO_FATAL_FAILURE(PassOffAsAnotherVersion(lent));
    }
    ASSERT_NO_FATAL_FAILURE(rig.StartSuccessor(lent));
    rig.Send(rig.Grant());
    ASSERT_TRUE(rig.Expect<Resumed>().has_value());
    for (auto& write : writes) EXPECT_EQ(Outcome(write), 0);
    written(c);
    lent = rig.Reconnect();
  }
}

// The agent's threads open the file while they attach a loop device; the successor is started by another one of them.
TEST(LunTakeover, ClosingTheFileDoesNotWaitForADeadServer) {
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(20));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  unique_fd fd(open(rig.file().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  const auto lent = rig.Reconnect();
  rig.Die();
  const auto started = RunCommand({"true"}, absl::Seconds(5));  // its execve closes its copy of the descriptor
  ASSERT_TRUE(started.ok()) << started.status();
  fd.reset();
  ASSERT_NO_FATAL_FAILURE(rig.StartSuccessor(lent));
  rig.Send(rig.Grant());
  EXPECT_TRUE(rig.Expect<Resumed>().has_value());
}

TEST(LunTakeover, NothingIsExecutedUnderAnEpochThatThePredecessorUsed) {
  std::future<int> write;
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.Start());
  const Login spent = rig.Grant();
  rig.Send(spent);
  ASSERT_TRUE(rig.Expect<Ready>().has_value());
  const auto lent = rig.Reconnect();
  rig.Die();
  write = StartWrite(rig, 'a');
  ASSERT_NO_FATAL_FAILURE(rig.StartSuccessor(lent));
  rig.Send(spent);
  const auto failed = rig.Expect<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->command, Kind::kLogin);
  EXPECT_EQ(FirstByte(rig.backing()), '\0');
  rig.Send(rig.Grant());
  ASSERT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
}

TEST(LunTakeover, AnotherLunGetsNothingFromASuccessorEither) {
  std::future<int> write;
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto lent = rig.Reconnect();
  rig.Die();
  write = StartWrite(rig, 'a');
  rig.Unexport();
  rig.Export("somebody-else");
  ASSERT_NO_FATAL_FAILURE(rig.StartSuccessor(lent));
  rig.Send(rig.Grant());
  const auto lost = rig.Expect<SessionLost>();
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->loss, Loss::kIdentity);
  EXPECT_EQ(FirstByte(rig.backing()), '\0');
  rig.Unexport();
  rig.Export();
  rig.Send(rig.Grant());
  ASSERT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
}

TEST(LunTakeover, AFileThatIsGoneHasNoSuccessor) {
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto lent = rig.Reconnect();
  rig.Send(NewMessage<Stop>());
  ASSERT_TRUE(rig.Expect<Stopped>().has_value());
  ASSERT_TRUE(rig.WaitLunEnd());
  const auto tried = RunCommand(
      {std::string(FLOCKER_BIN_DIR) + "/flocker-lun", "--node", "alpha", "--dataset", kDataset, "--mount-epoch", "1",
       "--mountpoint", rig.file(), "--socket", rig.socket(), "--fuse-fd", "4", "--arena-fd", "5"},
      absl::Seconds(10));
  ASSERT_TRUE(tried.ok()) << tried.status();
  EXPECT_EQ(tried->exit_code, 1) << tried->output;
}

TEST(LunTakeover, HandingOverFinishesWhatIsUnderWayAndLogsOut) {
  std::future<int> write;
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto lent = rig.Reconnect();
  kill(rig.tgtd().pid(), SIGSTOP);
  write = StartWrite(rig, 'a');
  EXPECT_TRUE(RequestsWait(rig));
  rig.Send(NewMessage<HandOver>());
  std::future<int> later = StartWrite(rig, 'b', 2);
  kill(rig.tgtd().pid(), SIGCONT);
  EXPECT_TRUE(rig.WaitLunEnd());
  EXPECT_EQ(FirstByte(rig.backing()), 'a');
  EXPECT_TRUE(rig.Mounted());
  EXPECT_TRUE(Eventually([&] { return rig.Sessions().empty(); }));
  ASSERT_NO_FATAL_FAILURE(rig.StartSuccessor(lent));
  rig.Send(rig.Grant());
  ASSERT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
  EXPECT_EQ(Outcome(later), 0);
  EXPECT_TRUE(absl::StrContains(rig.log(), "taken over from a predecessor, 0 requests")) << rig.log();
}

TEST(LunTakeover, HandingOverToNobodyIsOnlyABrokenSession) {
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  kill(rig.tgtd().pid(), SIGSTOP);  // or it may be through before nobody is there
  rig.Send(NewMessage<HandOver>());
  rig.Disconnect();
  kill(rig.tgtd().pid(), SIGCONT);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(rig.log(), "session lost"); }));
  EXPECT_EQ(std::get<Hello>(rig.Reconnect().report).state, State::kBroken);
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  rig.Send(rig.Grant());
  ASSERT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(WriteBlock(rig.file(), 'a'), 0);
}

// The topology of the lost update: what the dead session sent waits in the network while its successor goes on.
//
//     flocker-lun --session 1--> proxy --held--> tgtd        '1' on its way when flocker-lun dies
//     successor   --session 2--> proxy --------> tgtd        '1' again, answered; then '2', answered
//                                proxy --------> tgtd        session 1's '1' arrives now
//
// What the block holds in the end.
char WriteOverADeadSession(bool fenced) {
  std::future<int> write;
  LunRig rig;
  const Watchdog watchdog(rig.directory(), absl::Seconds(60));
  TcpProxy proxy;
  proxy.Forward(rig.tgtd().port());
  rig.set_portal(proxy.portal());
  rig.StartServing();
  const auto lent = rig.Reconnect();
  proxy.HoldPresent();
  write = StartWrite(rig, '1');
  EXPECT_TRUE(Eventually([&] { return proxy.held_bytes() > 4096; }));
  rig.Die();
  rig.StartSuccessor(lent);
  rig.Send(fenced ? rig.Grant() : rig.GrantUnfenced());
  EXPECT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
  EXPECT_EQ(WriteBlock(rig.file(), '2'), 0);
  EXPECT_EQ(FirstByte(rig.backing()), '2');
  proxy.Release();
  // The successor's is the only one once the dead session's bytes, and then its end, have come through.
  EXPECT_TRUE(Eventually([&] { return proxy.connections() == 1 && rig.Sessions().size() == 1; }));
  return FirstByte(rig.backing());
}

TEST(LunTakeover, WithoutAFenceTheDeadSessionUndoesANewerWrite) { EXPECT_EQ(WriteOverADeadSession(false), '1'); }

TEST(LunTakeover, BehindARenewalItCannot) { EXPECT_EQ(WriteOverADeadSession(true), '2'); }

}  // namespace
}  // namespace flocker::lun::testing
