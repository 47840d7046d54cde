// What every driver of Array must do, against the real thing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/contract/array/array_world.h"

namespace flocker::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kSize = uint64_t{64} << 20;
const std::string kFourK(4096, 'x');

template <class World>
struct Kind {
  const char* name;
  std::function<std::unique_ptr<World>()> make;
};

template <class World>
class ContractTest : public ::testing::TestWithParam<Kind<World>> {
 protected:
  Array& array() { return world_->array(); }
  LunAddress MustGrant(const Grant& grant) {
    const auto address = array().Grant(id_, grant);
    EXPECT_TRUE(address.ok()) << address.status();
    return address.value_or(LunAddress());
  }
  ArrayEntry Listed() {
    const auto entries = array().List();
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (entries.ok()) {
      for (const ArrayEntry& entry : *entries) {
        if (entry.id == id_) return entry;
      }
    }
    return {};
  }
  uint64_t AllocatedBytes() {
    struct stat info {};
    EXPECT_EQ(stat(world_->BackingFile(id_).c_str(), &info), 0);
    return static_cast<uint64_t>(info.st_blocks) * 512;
  }

  const std::unique_ptr<World> world_ = this->GetParam().make();
  const DatasetId id_ = Id(1);
  const Grant first_ = GrantOf(id_, 1, 1);
  const Grant second_ = GrantOf(id_, 2, 2);
};

std::unique_ptr<TgtWorld> Tgt() { return std::make_unique<TgtWorld>(); }
std::unique_ptr<TgtWorld> TgtThroughACommand() {
  return std::make_unique<TgtWorld>(std::vector<std::string>{"env", "sh", "-c"});
}

// Of every array.
using ArrayContract = ContractTest<ArrayWorld>;
INSTANTIATE_TEST_SUITE_P(, ArrayContract,
                         ::testing::Values(Kind<ArrayWorld>{"Tgt", Tgt},
                                           Kind<ArrayWorld>{"TgtThroughACommand", TgtThroughACommand},
                                           Kind<ArrayWorld>{"Local", [] { return std::make_unique<LocalWorld>(); }}),
                         [](const auto& instance) { return std::string(instance.param.name); });

// Of one that is reached over a network: it asks for passwords, and forgets.
using NetworkArrayContract = ContractTest<TgtWorld>;
INSTANTIATE_TEST_SUITE_P(, NetworkArrayContract,
                         ::testing::Values(Kind<TgtWorld>{"Tgt", Tgt},
                                           Kind<TgtWorld>{"TgtThroughACommand", TgtThroughACommand}),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(ArrayContract, AFreshLunIsThinReadsZeroesAndKeepsWhatIsWritten) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  EXPECT_LT(AllocatedBytes(), 1u << 20);
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  EXPECT_EQ(*initiator->Size(), kSize);
  EXPECT_EQ(*initiator->Read(0, 4096), std::string(4096, '\0'));
  ASSERT_TRUE(initiator->Write(8192, kFourK).ok());
  EXPECT_EQ(*initiator->Read(8192, 4096), kFourK);
  EXPECT_EQ(*initiator->Read(kSize - 4096, 4096), std::string(4096, '\0'));
}

TEST_P(ArrayContract, NobodyButTheGrantedLogsIn) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  const LunAddress address = MustGrant(first_);
  EXPECT_FALSE(Initiator::Login(address, second_).ok());
  EXPECT_TRUE(Initiator::Login(address, first_).ok());
}

TEST_P(NetworkArrayContract, NobodyLogsInWithoutThePassword) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  const LunAddress address = MustGrant(first_);
  Grant wrong = first_;
  wrong.secret = "wrongwrong12";
  EXPECT_FALSE(Initiator::Login(address, wrong).ok());
  wrong = first_;
  wrong.user.clear();
  EXPECT_FALSE(Initiator::Login(address, wrong).ok()) << "without a password";
  wrong = first_;
  wrong.initiator = second_.initiator;
  EXPECT_FALSE(Initiator::Login(address, wrong).ok()) << "under another name with a stolen password";
  EXPECT_TRUE(Initiator::Login(address, first_).ok());
}

TEST_P(ArrayContract, OneLunsGrantOpensNoOther) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  ASSERT_TRUE(array().Create(Id(2), kSize, "{}").ok());
  MustGrant(first_);
  const Grant others = GrantOf(Id(2), 2, 9);
  const auto address = array().Grant(Id(2), others);
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_FALSE(Initiator::Login(*address, first_).ok());
  EXPECT_TRUE(Initiator::Login(*address, others).ok());
}

TEST_P(NetworkArrayContract, OneLunsPasswordOpensNoOther) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  ASSERT_TRUE(array().Create(Id(2), kSize, "{}").ok());
  MustGrant(first_);
  Grant mixed = GrantOf(Id(2), 2, 9);
  const auto address = array().Grant(Id(2), mixed);
  ASSERT_TRUE(address.ok()) << address.status();
  mixed.user = first_.user;
  mixed.secret = first_.secret;
  EXPECT_FALSE(Initiator::Login(*address, mixed).ok());
}

TEST_P(ArrayContract, AFlushSyncsTheBackingFile) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  const pid_t server = world_->server(*initiator);
  const ScratchDir scratch;
  auto strace = SpawnChild({.argv = {"strace", "-f", "-y", "-e", "trace=fdatasync,fsync", "-o", scratch / "trace", "-p",
                                     absl::StrCat(server)}});
  ASSERT_TRUE(strace.ok()) << strace.status();
  const auto traced = [&] {
    for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", server, "/task"))) {
      if (absl::StrContains(ReadFile(task.path() / "status").value_or(""), "TracerPid:\t0\n")) return false;
    }
    return true;
  };
  EXPECT_TRUE(Eventually(traced));
  EXPECT_TRUE(initiator->Write(0, kFourK).ok());
  EXPECT_FALSE(absl::StrContains(ReadFile(scratch / "trace").value_or(""), "sync("));
  EXPECT_TRUE(initiator->Flush().ok());
  EXPECT_TRUE(Eventually([&] {
    const std::string trace = ReadFile(scratch / "trace").value_or("");
    return absl::StrContains(trace, "fdatasync(") && absl::StrContains(trace, world_->BackingFile(id_));
  })) << ReadFile(scratch / "trace").value_or("");
  kill(strace->pid, SIGTERM);
  EXPECT_TRUE(WaitEnd(strace->pidfd, absl::Seconds(10)));
}

TEST_P(ArrayContract, ADiscardFreesSpaceAndReadsZeroes) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  constexpr uint32_t kMegabyte = 1 << 20;
  for (uint32_t at = 0; at < 8 * kMegabyte; at += kMegabyte / 4) {
    ASSERT_TRUE(initiator->Write(at, std::string(kMegabyte / 4, 'd')).ok());
  }
  ASSERT_TRUE(initiator->Flush().ok());
  const uint64_t before = AllocatedBytes();
  EXPECT_GE(before, 8u * kMegabyte);
  const absl::Status unmapped = initiator->Unmap(kMegabyte, 4 * kMegabyte);
  ASSERT_TRUE(unmapped.ok()) << unmapped;
  EXPECT_LE(AllocatedBytes(), before - 4 * kMegabyte);
  EXPECT_EQ(*initiator->Read(kMegabyte, 65536), std::string(65536, '\0'));
  EXPECT_EQ(*initiator->Read(5 * kMegabyte, 4096), std::string(4096, 'd'));
  EXPECT_EQ(*initiator->Read(kMegabyte - 4096, 4096), std::string(4096, 'd'));
}

TEST_P(ArrayContract, AfterAFenceNothingArrivesAndNobodyLogsIn) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  const LunAddress address = MustGrant(first_);
  auto initiator = LoggedIn(address, first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  ASSERT_TRUE(initiator->Write(0, kFourK).ok());
  for (int repeated = 0; repeated < 2; ++repeated) {
    const absl::Status fenced = array().Fence(id_, first_);
    ASSERT_TRUE(fenced.ok()) << fenced;
    EXPECT_THAT(Listed().sessions, IsEmpty());
    EXPECT_THAT(Listed().allowed, IsEmpty());
  }
  EXPECT_FALSE(initiator->Write(0, std::string(4096, 'y')).ok());
  EXPECT_FALSE(Initiator::Login(address, first_).ok());
  EXPECT_EQ(ReadFile(world_->BackingFile(id_))->substr(0, 4096), kFourK);
}

TEST_P(ArrayContract, ARenewalCutsTheOldSessionAndLetsOnlyTheNewSecretIn) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  ASSERT_TRUE(initiator->Write(0, kFourK).ok());
  const Grant next = GrantOf(id_, 1, 2);
  for (int repeated = 0; repeated < 2; ++repeated) {
    const auto address = array().Renew(id_, first_, next);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_FALSE(initiator->Write(0, std::string(4096, 'y')).ok());
    EXPECT_FALSE(Initiator::Login(*address, first_).ok());
    auto renewed = LoggedIn(*address, next);
    ASSERT_TRUE(renewed.ok()) << renewed.status();
    EXPECT_EQ(*renewed->Read(0, 4096), kFourK);
  }
}

TEST_P(ArrayContract, AnIdenticalGrantLeavesItsSessionAlone) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  MustGrant(first_);
  EXPECT_TRUE(initiator->Write(0, kFourK).ok());
}

TEST_P(ArrayContract, AGrantIsRefusedWhileAnotherInitiatorIsLoggedIn) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  const auto refused = array().Grant(id_, second_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(first_.initiator));
  EXPECT_EQ(array().Destroy(id_).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(initiator->Write(0, kFourK).ok()) << "the refusals changed nothing";
}

TEST_P(ArrayContract, AFenceOfAnOldGrantLeavesTheNewOneAlone) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  MustGrant(first_);
  ASSERT_TRUE(array().Revoke(id_, first_).ok());
  auto initiator = LoggedIn(MustGrant(second_), second_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  EXPECT_TRUE(array().Fence(id_, first_).ok());
  EXPECT_TRUE(initiator->Write(0, kFourK).ok());
}

TEST_P(ArrayContract, ALunGrowsUnderItsGrantAndKeepsItsData) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  const LunAddress address = MustGrant(first_);
  auto initiator = LoggedIn(address, first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  ASSERT_TRUE(initiator->Write(4096, kFourK).ok());
  for (int repeated = 0; repeated < 2; ++repeated) {
    const absl::Status grown = array().Resize(id_, kSize + (1 << 20));
    ASSERT_TRUE(grown.ok()) << grown;
  }
  initiator = absl::CancelledError("logged out");
  auto again = LoggedIn(address, first_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again->Size(), kSize + (1 << 20));
  EXPECT_EQ(*again->Read(4096, 4096), kFourK);
  EXPECT_TRUE(again->Unmap(0, 1 << 20).ok()) << "still thin";
  EXPECT_EQ(array().Resize(id_, kSize).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(array().Resize(Id(2), kSize).code(), absl::StatusCode::kNotFound);
}

TEST_P(ArrayContract, DestroyLeavesNothing) {
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  const LunAddress address = MustGrant(first_);
  ASSERT_TRUE(array().Revoke(id_, first_).ok());
  for (int repeated = 0; repeated < 2; ++repeated) {
    ASSERT_TRUE(array().Destroy(id_).ok());
    EXPECT_THAT(*array().List(), IsEmpty());
  }
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(world_->BackingFile(id_)).parent_path()));
  EXPECT_FALSE(Initiator::Login(address, first_).ok());
  EXPECT_EQ(array().Grant(id_, first_).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(ArrayContract, CreateNeverTouchesALunThatExists) {
  ASSERT_TRUE(array().Create(id_, kSize, "one").ok());
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();
  ASSERT_TRUE(initiator->Write(0, kFourK).ok());
  EXPECT_TRUE(array().Create(id_, kSize, "two").ok());
  EXPECT_EQ(array().Create(id_, 2 * kSize, "three").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*initiator->Read(0, 4096), kFourK);
  EXPECT_EQ(Listed().size, kSize);
  EXPECT_EQ(Listed().record, "two");
}

TEST_P(ArrayContract, ListShowsWhatTheArrayHolds) {
  const std::string record = "{\"name\": \"it's $HOME `x`\\n\\\\ %s \u00e9\"}\n\n";
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  ASSERT_TRUE(array().Create(Id(2), 2 * kSize, "").ok());
  ASSERT_TRUE(array().WriteRecord(id_, record).ok());
  std::ofstream(std::filesystem::path(world_->BackingFile(id_)).parent_path() / "stranger.img") << "x";
  auto initiator = LoggedIn(MustGrant(first_), first_);
  ASSERT_TRUE(initiator.ok()) << initiator.status();

  const ArrayEntry entry = Listed();
  EXPECT_EQ(entry.size, kSize);
  EXPECT_EQ(entry.record, record);
  EXPECT_TRUE(entry.exported);
  EXPECT_THAT(entry.allowed, ElementsAre(first_.initiator));
  ASSERT_EQ(entry.sessions.size(), 1u);
  EXPECT_EQ(entry.sessions[0].initiator, first_.initiator);
  const auto entries = array().List();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[1].size, 2 * kSize);
  EXPECT_FALSE((*entries)[1].exported);
}

TEST_P(ArrayContract, CapacityIsThePools) {
  const auto capacity = array().Capacity();
  ASSERT_TRUE(capacity.ok()) << capacity.status();
  struct statvfs info {};
  ASSERT_EQ(statvfs(std::filesystem::path(world_->BackingFile(id_)).parent_path().c_str(), &info), 0);
  EXPECT_EQ(capacity->total, info.f_blocks * info.f_frsize);
  EXPECT_GT(capacity->free, 0u);
  EXPECT_LT(capacity->free, capacity->total);
}

TEST_P(NetworkArrayContract, ARestartIsNoticedAndAGrantExportsTheSameLunAgain) {
  std::atomic<int> restarts = 0;
  array().OnRestart([&] { ++restarts; });
  ASSERT_TRUE(array().Create(id_, kSize, "{}").ok());
  std::string identity;
  {
    auto initiator = LoggedIn(MustGrant(first_), first_);
    ASSERT_TRUE(initiator.ok()) << initiator.status();
    ASSERT_TRUE(initiator->Write(0, kFourK).ok());
    identity = *initiator->Identity();
    EXPECT_THAT(identity, HasSubstr(id_.str()));
  }
  for (int run = 1; run <= 2; ++run) {
    world_->KillServer();
    EXPECT_EQ(array().Fence(id_, first_).code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(array().Grant(id_, first_).status().code(), absl::StatusCode::kUnavailable);
    world_->StartServer();
    ASSERT_TRUE(array().Fence(id_, first_).ok());
    EXPECT_TRUE(Eventually([&] { return restarts == run; })) << restarts;
    auto initiator = LoggedIn(MustGrant(first_), first_);
    ASSERT_TRUE(initiator.ok()) << initiator.status();
    EXPECT_EQ(*initiator->Read(0, 4096), kFourK);
    EXPECT_EQ(*initiator->Identity(), identity);
    EXPECT_EQ(restarts, run);
  }
}

TEST_P(ArrayContract, ManyDatasetsAtOnce) {
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int n = 1; n <= kThreads; ++n) {
    threads.emplace_back([&, n] {
      const DatasetId id = *DatasetId::Parse(absl::StrCat("0000000", n, "-0000-4000-8000-000000000000"));
      const Grant grant = GrantOf(id, n, 1);
      if (!array().Create(id, kSize, "{}").ok()) ++failures;
      const auto address = array().Grant(id, grant);
      if (!address.ok() || !LoggedIn(*address, grant).ok()) ++failures;
      if (!array().Revoke(id, grant).ok()) ++failures;
      if (!array().Destroy(id).ok()) ++failures;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_THAT(*array().List(), IsEmpty());
}

}  // namespace
}  // namespace flocker::testing
