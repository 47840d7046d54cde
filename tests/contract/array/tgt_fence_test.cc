// A fence against a write that is stuck in tgt's backing store.
//
//   initiator --WRITE--> tgtd --pwrite--> ext4, frozen      fence: connection deleted, session still listed
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/contract/array/array_world.h"
#include "tests/harness/frozen_pool.h"

namespace flocker::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSize = uint64_t{64} << 20;

class TgtFence : public ::testing::Test {
 protected:
  // Below the frozen pool: it must be gone before the pool is unmounted.
  FrozenPool pool_;
  TgtWorld world_{{}, pool_.path()};
  const DatasetId id_ = Id(1);
  const Grant old_ = GrantOf(id_, 1, 1);
  const Grant next_ = GrantOf(id_, 2, 2);

  std::string FirstBlock() { return ReadFile(world_.BackingFile(id_)).value_or("").substr(0, 4096); }

  // A thread of tgtd waits in the kernel for the thaw.
  bool TgtdIsStuck() {
    return Eventually([&] {
      const auto blocked = RunCommand(
          {"grep", "-l", "^State:\tD", "-r", "--include=status", absl::StrCat("/proc/", world_.server(), "/task")},
          absl::Seconds(5));
      return blocked.ok() && blocked->exit_code == 0;
    });
  }
};

TEST_F(TgtFence, AStuckWriteStallsTheFenceAndNothingArrivesAfterIt) {
  ASSERT_TRUE(world_.array().Create(id_, kSize, "{}").ok());
  const auto address = world_.array().Grant(id_, old_);
  ASSERT_TRUE(address.ok()) << address.status();
  auto initiator = LoggedIn(*address, old_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  ASSERT_TRUE(initiator->Write(0, std::string(4096, '1')).ok());

  pool_.Freeze();
  // tgt keeps a connection's socket open as long as a command of it is under way: nothing tells this end that it is
  // cut.
  initiator->GiveUpAfter(1);
  absl::Status stuck;
  std::thread writer([&] { stuck = initiator->Write(0, std::string(4096, '2')); });
  EXPECT_TRUE(TgtdIsStuck());
  for (int repeated = 0; repeated < 2; ++repeated) {
    const absl::Status stalled = world_.array().Fence(id_, old_);
    EXPECT_EQ(stalled.code(), absl::StatusCode::kDeadlineExceeded) << stalled;
    EXPECT_THAT(std::string(stalled.message()), HasSubstr(old_.initiator));
    EXPECT_THAT(std::string(stalled.message()), HasSubstr("still has a command in the backing store"));
  }
  writer.join();
  EXPECT_FALSE(stuck.ok());
  EXPECT_FALSE(Initiator::Login(*address, old_).ok());
  EXPECT_EQ(world_.array().Renew(id_, old_, next_).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(Initiator::Login(*address, next_).ok()) << "nobody may be let in yet";

  pool_.Thaw();
  EXPECT_TRUE(Eventually([&] { return world_.array().Fence(id_, old_).ok(); }));
  const std::string after_fence = FirstBlock();
  EXPECT_EQ(after_fence, std::string(4096, '2')) << "the stuck write landed before the fence was confirmed";
  const auto renewed = world_.array().Grant(id_, next_);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  auto successor = LoggedIn(*renewed, next_);
  ASSERT_TRUE(successor.ok()) << successor.status();
  ASSERT_TRUE(successor->Write(0, std::string(4096, '3')).ok());
  EXPECT_FALSE(initiator->Write(0, std::string(4096, '4')).ok());
  EXPECT_EQ(FirstBlock(), std::string(4096, '3'));
}

TEST_F(TgtFence, AnInitiatorThatHungUpWithAStuckWriteIsNotGoneYet) {
  ASSERT_TRUE(world_.array().Create(id_, kSize, "{}").ok());
  const auto address = world_.array().Grant(id_, old_);
  ASSERT_TRUE(address.ok()) << address.status();
  pool_.Freeze();
  {
    auto initiator = LoggedIn(*address, old_);
    ASSERT_TRUE(initiator.ok()) << initiator.status();
    initiator->SendWriteAndHangUp(0, std::string(4096, '2'));
  }
  EXPECT_TRUE(TgtdIsStuck());
  EXPECT_EQ(world_.array().Revoke(id_, old_).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(world_.array().Grant(id_, next_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(world_.array().Destroy(id_).code(), absl::StatusCode::kFailedPrecondition);
  pool_.Thaw();
  EXPECT_TRUE(Eventually([&] { return world_.array().Revoke(id_, old_).ok(); }));
  EXPECT_EQ(FirstBlock(), std::string(4096, '2'));
  EXPECT_TRUE(world_.array().Grant(id_, next_).ok());
}

TEST_F(TgtFence, AKilledTgtdHasNoSuccessorWhileItsWriteIsStuck) {
  ASSERT_TRUE(world_.array().Create(id_, kSize, "{}").ok());
  const auto address = world_.array().Grant(id_, old_);
  ASSERT_TRUE(address.ok()) << address.status();
  auto initiator = LoggedIn(*address, old_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  pool_.Freeze();
  initiator->SendWriteAndHangUp(0, std::string(4096, '2'));
  EXPECT_TRUE(TgtdIsStuck());
  kill(world_.server(), SIGKILL);

  const auto successor = RunCommand({"tgtd", "-f", "-C", absl::StrCat(world_.tgtd().control_number()), "--iscsi",
                                     absl::StrCat("portal=127.0.0.1:", FreePort())},
                                    absl::Seconds(5));
  ASSERT_TRUE(successor.ok()) << "a second tgtd runs: " << successor.status();
  EXPECT_NE(successor->exit_code, 0);
  EXPECT_EQ(world_.array().Fence(id_, old_).code(), absl::StatusCode::kUnavailable);

  pool_.Thaw();
  world_.KillServer();
  world_.StartServer();
  EXPECT_TRUE(world_.array().Fence(id_, old_).ok());
}

}  // namespace
}  // namespace flocker::testing
