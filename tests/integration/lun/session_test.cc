// What happens to requests when the session goes, and what a later grant does to them.
#include <fcntl.h>
#include <iscsi/iscsi.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/integration/lun/lun_rig.h"

namespace flocker::lun::testing {
namespace {

// Futures are declared before the rig: the rig's end fails what they wait for.
using Fio = std::future<absl::StatusOr<CommandResult>>;

// Writes 64 MiB at random in about three seconds, then verifies every block.
Fio StartVerifiedWrites(const LunRig& rig) {
  return std::async(std::launch::async, [file = rig.file()] {
    return RunCommand({"fio", "--name=v", absl::StrCat("--filename=", file), "--ioengine=libaio", "--direct=1",
                       "--iodepth=32", "--rw=randwrite", "--bs=16k", "--size=64M", "--rate_iops=1400,1400",
                       "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--fsync=50"},
                      absl::Seconds(80));
  });
}

bool Running(const Fio& fio) { return fio.wait_for(std::chrono::seconds(0)) != std::future_status::ready; }

void ExpectVerified(Fio& fio) {
  ASSERT_EQ(fio.wait_for(std::chrono::seconds(60)), std::future_status::ready) << "fio hangs";
  const auto result = fio.get();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 0) << result->output;
}

// The errno of writing one block of `c` at `offset`, 0 when it went well.
int WriteBlock(const std::string& file, char c, off_t offset = 0) {
  const unique_fd fd(open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return errno;
  const std::string block(4096, c);
  return pwrite(fd.get(), block.data(), block.size(), offset) == 4096 ? 0 : errno;
}

std::future<int> StartWrite(const LunRig& rig, char c, off_t offset = 0) {
  return std::async(std::launch::async, WriteBlock, rig.file(), c, offset);
}

char FirstByte(const std::string& file, off_t offset = 0) {
  const unique_fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  char c = '?';
  EXPECT_EQ(pread(fd.get(), &c, 1, offset), 1);
  return c;
}

bool RequestsWait(LunRig& rig) {
  return Eventually([&rig] {
    rig.Send(NewMessage<GetStatus>());
    const auto status = rig.Expect<Status>();
    return status.has_value() && status->in_flight > 0;
  });
}

TEST(LunSession, ACutUnderWritesIsAPause) {
  Fio fio;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  fio = StartVerifiedWrites(rig);
  int cuts = 0;
  uint64_t reissued = 0;
  struct stat before {};
  while (Running(fio) && cuts < 8 && !::testing::Test::HasFailure()) {
    // Each cut comes after new data went through.
    stat(rig.backing().c_str(), &before);
    if (!Eventually([&] {
          struct stat now {};
          stat(rig.backing().c_str(), &now);
          return now.st_mtim.tv_nsec != before.st_mtim.tv_nsec || !Running(fio);
        })) {
      break;
    }
    rig.CutSessions();
    const auto lost = rig.Expect<SessionLost>();
    ASSERT_TRUE(lost.has_value());
    EXPECT_EQ(lost->loss, Loss::kConnection);
    rig.Send(rig.Grant());
    const auto resumed = rig.Expect<Resumed>();
    ASSERT_TRUE(resumed.has_value());
    reissued += resumed->reissued;
    ++cuts;
  }
  EXPECT_GE(cuts, 3);
  EXPECT_GT(reissued, 0u);
  ExpectVerified(fio);
}

TEST(LunSession, AnArrayRestartUnderWritesIsAPause) {
  Fio fio;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  fio = StartVerifiedWrites(rig);
  ASSERT_TRUE(RequestsWait(rig));
  rig.tgtd().Kill();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  rig.tgtd().Start();
  rig.Export();
  rig.Send(rig.Grant());
  const auto resumed = rig.Expect<Resumed>();
  ASSERT_TRUE(resumed.has_value());
  EXPECT_GT(resumed->reissued, 0u);
  ExpectVerified(fio);
}

TEST(LunSession, NeverLogsInAgainByItselfNorWithASpentGrant) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.Start());
  const Login grant = rig.Grant();
  rig.Send(grant);
  ASSERT_TRUE(rig.Expect<Ready>().has_value());
  rig.CutSessions();  // the grant itself would still let it in
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  write = StartWrite(rig, 'a');
  ASSERT_TRUE(RequestsWait(rig));
  rig.Send(grant);
  const auto failed = rig.Expect<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->command, Kind::kLogin);
  rig.ExpectSilence(absl::Milliseconds(500));
  EXPECT_EQ(FirstByte(rig.backing()), '\0');
  rig.Send(rig.Grant());
  EXPECT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
  EXPECT_EQ(FirstByte(rig.backing()), 'a');
}

TEST(LunSession, IoTimeoutFailsWhatWaitsUntilARenewal) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing({"--io-timeout", "1"}));
  rig.Revoke();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  write = StartWrite(rig, 'a');
  const auto timed_out = rig.Expect<IoTimedOut>();
  ASSERT_TRUE(timed_out.has_value());
  EXPECT_GE(timed_out->paused_ms, 1000u);
  EXPECT_EQ(timed_out->failed, 1u);
  EXPECT_EQ(Outcome(write), EIO);
  EXPECT_EQ(WriteBlock(rig.file(), 'b'), EIO);
  rig.Send(rig.Grant());
  ASSERT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(FirstByte(rig.backing()), '\0');
  EXPECT_EQ(WriteBlock(rig.file(), 'c'), 0);
}

TEST(LunSession, TheClockStandsStillWhileControlIsAway) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing({"--io-timeout", "1"}));
  rig.Send(NewMessage<ControlAway>());
  rig.Revoke();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  write = StartWrite(rig, 'a');
  rig.ExpectSilence(absl::Seconds(2));
  rig.Send(NewMessage<ControlBack>());
  const absl::Time back = absl::Now();
  ASSERT_TRUE(rig.Expect<IoTimedOut>().has_value());
  EXPECT_GE(absl::Now() - back, absl::Milliseconds(900));
  EXPECT_EQ(Outcome(write), EIO);
}

TEST(LunSession, AnUnansweredCommandCutsTheSession) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing({"--task-timeout", "1"}));
  kill(rig.tgtd().pid(), SIGSTOP);
  write = StartWrite(rig, 'a');
  const auto lost = rig.Expect<SessionLost>();
  kill(rig.tgtd().pid(), SIGCONT);
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->loss, Loss::kTaskTimeout);
  EXPECT_EQ(lost->in_flight, 1u);
  rig.Send(rig.Grant());
  ASSERT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
  EXPECT_EQ(FirstByte(rig.backing()), 'a');
}

TEST(LunSession, AWrongSecretIsRefusedAndToldNobody) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.Start());
  Login wrong = rig.Grant();
  const std::string secret = "notthesecret12345";
  ASSERT_TRUE(wrong.chap_secret.Set(secret));
  rig.Send(wrong);
  const auto lost = rig.Expect<SessionLost>();
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->loss, Loss::kLoginRefused) << lost->reason.view();
  EXPECT_FALSE(rig.Mounted());
  for (const char* where : {"cmdline", "environ"}) {
    EXPECT_FALSE(absl::StrContains(ReadFile(absl::StrCat("/proc/", rig.pid(), "/", where)).value_or(secret), secret));
  }
  EXPECT_FALSE(absl::StrContains(rig.log(), secret));
  rig.Send(rig.Grant());
  EXPECT_TRUE(rig.Expect<Ready>().has_value());
}

TEST(LunSession, AnotherLunBehindTheGrantGetsNothing) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  rig.Unexport();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  write = StartWrite(rig, 'a');
  ASSERT_TRUE(RequestsWait(rig));
  rig.Export("somebody-else");
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
  EXPECT_EQ(FirstByte(rig.backing()), 'a');
}

TEST(LunSession, ALunThatGrewBehindARenewalShowsItsSize) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  rig.Unexport();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  ASSERT_EQ(truncate(rig.backing().c_str(), 2 * kLunSize), 0);
  rig.Export();
  rig.Send(rig.Grant());
  const auto resumed = rig.Expect<Resumed>();
  ASSERT_TRUE(resumed.has_value());
  EXPECT_EQ(resumed->size, 2 * kLunSize);
  struct stat st {};
  ASSERT_EQ(stat(rig.file().c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), 2 * kLunSize);
  EXPECT_EQ(WriteBlock(rig.file(), 'z', kLunSize), 0);
  rig.Send(NewMessage<Resize>());
  const auto ready = rig.Expect<Ready>();
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->size, 2 * kLunSize);
}

// A second initiator resets the LUN: every session gets a unit attention, tgt drops what it has not answered.
void ResetLun(const Login& grant) {
  const std::unique_ptr<iscsi_context, decltype(&iscsi_destroy_context)> other(
      iscsi_create_context(grant.initiator.bytes), &iscsi_destroy_context);
  iscsi_set_targetname(other.get(), grant.target.bytes);
  iscsi_set_session_type(other.get(), ISCSI_SESSION_NORMAL);
  iscsi_set_initiator_username_pwd(other.get(), grant.chap_user.bytes, grant.chap_secret.bytes);
  ASSERT_EQ(iscsi_full_connect_sync(other.get(), grant.portal.bytes, 1), 0) << iscsi_get_error(other.get());
  EXPECT_EQ(iscsi_task_mgmt_lun_reset_sync(other.get(), 1), 0) << iscsi_get_error(other.get());
  iscsi_logout_sync(other.get());
}

TEST(LunSession, AUnitAttentionIsCheckedAndTheCommandIssuedAgain) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.Start());
  const Login grant = rig.Grant();
  rig.Send(grant);
  ASSERT_TRUE(rig.Expect<Ready>().has_value());
  ASSERT_EQ(WriteBlock(rig.file(), 'a'), 0);
  ASSERT_NO_FATAL_FAILURE(ResetLun(grant));
  EXPECT_EQ(WriteBlock(rig.file(), 'b'), 0);
  EXPECT_EQ(FirstByte(rig.backing()), 'b');
  EXPECT_TRUE(absl::StrContains(rig.log(), "checking the LUN after CHECK CONDITION, UNIT ATTENTION")) << rig.log();
}

TEST(LunSession, FencedFailsEverythingForGood) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  kill(rig.tgtd().pid(), SIGSTOP);  // so that the write is on its way
  write = StartWrite(rig, 'a');
  EXPECT_TRUE(RequestsWait(rig));
  rig.Send(NewMessage<Fence>());
  const auto fenced = rig.Expect<Fenced>();
  kill(rig.tgtd().pid(), SIGCONT);
  ASSERT_TRUE(fenced.has_value());
  EXPECT_EQ(fenced->failed, 1u);
  EXPECT_EQ(Outcome(write), EIO);
  EXPECT_EQ(WriteBlock(rig.file(), 'b'), EIO);
  rig.Send(rig.Grant());
  EXPECT_TRUE(rig.Expect<Failed>().has_value());
  EXPECT_EQ(WriteBlock(rig.file(), 'b'), EIO);
  rig.Send(NewMessage<Stop>());
  EXPECT_TRUE(rig.Expect<Stopped>().has_value());
  EXPECT_TRUE(rig.WaitLunEnd());
}

}  // namespace
}  // namespace flocker::lun::testing
