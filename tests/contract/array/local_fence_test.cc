// A fence of a file of this machine, against users who do not let go.
//
//   flocker-lun --pwrite--> <pool>/<uuid>.img      the test is control; two users stand for two agents of one machine
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "tests/contract/array/array_world.h"
#include "tests/harness/holder_child.h"

namespace flocker::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr uint64_t kSize = uint64_t{64} << 20;
constexpr size_t kBlock = 4096;

// As FileClaim's, by a process that is no flocker-lun.
bool LockFirstByte(const std::string& file) {
  const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);  // NOLINT: open until the process ends
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_len = 1;
  return fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0;
}

class LocalFence : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world_.array().Create(id_, kSize, "{}").ok()); }
  absl::StatusOr<Initiator> Granted(const Grant& grant) {
    ASSIGN_OR_RETURN(const LunAddress address, world_.array().Grant(id_, grant));
    return Initiator::Login(address, grant);
  }
  size_t Sessions() { return world_.array().List()->at(0).sessions.size(); }
  std::string FirstBlock() { return ReadFile(world_.BackingFile(id_)).value_or("").substr(0, kBlock); }

  LocalWorld world_;
  const DatasetId id_ = Id(1);
  const Grant old_ = GrantOf(id_, 1, 1);
  const Grant next_ = GrantOf(id_, 2, 2);
};

TEST_F(LocalFence, WhoLivesLetsGoByItself) {
  auto user = Granted(old_);
  ASSERT_TRUE(user.ok()) << user.status();
  const absl::Status fenced = world_.array().Fence(id_, old_);
  ASSERT_TRUE(fenced.ok()) << fenced;
  EXPECT_THAT(user->file()->LostReason(), Optional(HasSubstr("withdrawn")));
  EXPECT_FALSE(user->file()->Ended());
}

TEST_F(LocalFence, WhoIsStoppedIsKilledAndNothingOfItArrivesLater) {
  auto user = Granted(old_);
  ASSERT_TRUE(user.ok()) << user.status();
  ASSERT_TRUE(user->Write(0, std::string(kBlock, '1')).ok());
  kill(user->file()->pid(), SIGSTOP);
  EXPECT_FALSE(Granted(next_).ok()) << "while the other one has it";
  absl::Status late;
  std::thread writer([&] { late = user->Write(0, std::string(kBlock, '2')); });  // waits at the stopped process
  const absl::Status fenced = world_.array().Fence(id_, old_);
  ASSERT_TRUE(fenced.ok()) << fenced;
  EXPECT_TRUE(Eventually([&] { return user->file()->Ended(); }));
  writer.join();
  EXPECT_FALSE(late.ok());
  auto other = Granted(next_);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(FirstBlock(), std::string(kBlock, '1'));
  EXPECT_TRUE(other->Write(0, std::string(kBlock, '3')).ok());
}

TEST_F(LocalFence, WhoIsKilledHasLostItsClaim) {
  auto user = Granted(old_);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(Sessions(), 1u);
  kill(user->file()->pid(), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return user->file()->Ended(); }));
  EXPECT_EQ(Sessions(), 0u);
  EXPECT_TRUE(Granted(next_).ok());
}

TEST_F(LocalFence, NoWriteOfTheOldUserComesAfterTheFence) {
  auto user = Granted(old_);
  ASSERT_TRUE(user.ok()) << user.status();
  std::atomic<int> acknowledged = 0;
  std::thread writer([&] {
    while (user->Write(0, std::string(kBlock, 'o')).ok()) ++acknowledged;
  });
  EXPECT_TRUE(Eventually([&] { return acknowledged > 100; }));
  const absl::Status fenced = world_.array().Fence(id_, old_);
  EXPECT_TRUE(fenced.ok()) << fenced;
  auto other = Granted(next_);
  EXPECT_TRUE(other.ok() && other->Write(0, std::string(kBlock, 'n')).ok()) << other.status();
  writer.join();  // its last write fails a second after the fence
  EXPECT_EQ(FirstBlock(), std::string(kBlock, 'n'));
}

TEST(LocalFenceOfAFullPool, IsDone) {
  const ScratchDir pool;
  ASSERT_EQ(mount("pool", pool.path().c_str(), "tmpfs", 0, "size=4m"), 0) << errno;
  const absl::Cleanup unmount = [&] { umount2(pool.path().c_str(), MNT_DETACH); };
  LocalWorld world(pool.path());
  const DatasetId id = Id(1);
  const Grant grant = GrantOf(id, 1, 1);
  ASSERT_TRUE(world.array().Create(id, kSize, "{}").ok());
  const auto address = world.array().Grant(id, grant);
  ASSERT_TRUE(address.ok()) << address.status();
  auto user = Initiator::Login(*address, grant);
  ASSERT_TRUE(user.ok()) << user.status();
  const unique_fd rest(open((pool / "rest").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string block(kBlock, 'x');
  while (write(rest.get(), block.data(), block.size()) > 0) continue;
  ASSERT_EQ(errno, ENOSPC);
  const absl::Status fenced = world.array().Fence(id, grant);
  EXPECT_TRUE(fenced.ok()) << fenced;
  EXPECT_THAT(user->file()->LostReason(), Optional(HasSubstr("withdrawn")));
}

TEST_F(LocalFence, AStrangerIsNamedAndNotKilled) {
  const HolderChild stranger([file = world_.BackingFile(id_)] { return LockFirstByte(file); });
  const absl::Status fenced = world_.array().CutOff(id_);
  EXPECT_EQ(fenced.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(fenced.message()), HasSubstr(absl::StrCat("process ", stranger.pid())));
  EXPECT_EQ(kill(stranger.pid(), 0), 0);
  const auto refused = world_.array().Grant(id_, next_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace flocker::testing
