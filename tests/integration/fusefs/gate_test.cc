// Getting inside a dataset: waiting, being refused, being shut out, and letting go.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/subprocess.h"
#include "engine/catalog/inode_numbers.h"
#include "tests/integration/fusefs/rig.h"

namespace flocker::testing {
namespace {

using GateTest = Rig;

size_t ThreadsOf(pid_t pid) {
  size_t threads = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"))) {
    ++threads;
  }
  return threads;
}

int Freeze(const char* flag, const std::string& path) {
  const auto result = RunCommand({"fsfreeze", flag, path}, absl::Seconds(10));
  return result.ok() ? result->exit_code : -1;
}

int StatErrno(const std::string& path) {
  struct stat attributes {};
  return stat(path.c_str(), &attributes) == 0 ? 0 : errno;
}

TEST_F(GateTest, AccessWaitsForTheAttachWithoutAThread) {
  const CatalogDataset dataset = Add("data", alpha_, Phase::kGranting);
  EXPECT_EQ(StatErrno(Tree("alpha/data")), 0);  // not inside: answered at once
  const size_t before = ThreadsOf(daemon_->pid());
  std::vector<std::future<int>> waiting;
  for (int i = 0; i < 30; ++i) {
    waiting.push_back(Later([this, i] { return WriteFile(Tree(absl::StrCat("alpha/data/file", i)), "x"); }));
  }
  for (auto& one : waiting) EXPECT_FALSE(Done(one, absl::Milliseconds(10)));
  const absl::Time start = absl::Now();
  EXPECT_EQ(StatErrno(Tree("beta")), 0);
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(200));
  EXPECT_LE(ThreadsOf(daemon_->pid()), before + 1);  // grpc may add one of its own
  Attach(dataset);
  for (auto& one : waiting) {
    ASSERT_TRUE(Done(one, absl::Seconds(10)));
    EXPECT_EQ(one.get(), 0);
  }
}

TEST_F(GateTest, WaitingEndsWithTheTimeout) {
  StartDaemon({"--attach-timeout", "0.3"});
  Add("data", alpha_, Phase::kAttaching);
  EXPECT_EQ(testing::Open(Tree("alpha/data/file")), ETIMEDOUT);
  EXPECT_EQ(testing::Open(Tree("alpha/data")), ETIMEDOUT);
}

TEST_F(GateTest, WhatWalksTheTreeWaitsOnceAndNotForEachDataset) {
  StartDaemon({"--attach-timeout", "1"});
  std::vector<CatalogDataset> missing;
  for (int i = 0; i < 20; ++i) missing.push_back(Add(absl::StrCat("data", i), alpha_, Phase::kAttaching));
  const auto walk = [&] {
    const absl::Time start = absl::Now();
    EXPECT_TRUE(RunCommand({"ls", "-lR", Tree("")}, absl::Seconds(50)).ok());
    return absl::Now() - start;
  };
  EXPECT_LT(walk(), absl::Seconds(5));
  EXPECT_LT(walk(), absl::Seconds(1)) << "they are known to be missing for longer than anybody waits";
  EXPECT_EQ(testing::Open(Tree("alpha/data0")), ETIMEDOUT);
  const absl::Time start = absl::Now();
  EXPECT_EQ(testing::Open(Tree("alpha/data0/file")), ETIMEDOUT);
  EXPECT_GT(absl::Now() - start, absl::Milliseconds(900)) << "whoever wants to work there waits";
  // Attached, and away again: the patience is as at first.
  const CatalogDataset attached = Attach(missing[0]);
  EXPECT_EQ(testing::Open(Tree("alpha/data0")), 0);
  ASSERT_TRUE(agent_->Drop(attached.id, attached.mount_epoch));
  ASSERT_EQ(UnmountNative(attached), 0);
  CatalogDataset again = missing[0];
  Publish(again);
  struct stat attributes {};
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] {
    return stat(Tree("alpha/data0").c_str(), &attributes) == 0 && attributes.st_ino == RootInode(again.id);
  }));
  auto waiting = Later([&] { return testing::Open(Tree("alpha/data0")); });
  EXPECT_FALSE(Done(waiting, absl::Milliseconds(500)));
  again.mount_epoch = 2;
  Attach(again);
  ASSERT_TRUE(Done(waiting, absl::Seconds(5)));
  EXPECT_EQ(waiting.get(), 0);
}

TEST_F(GateTest, WaitingEndsWithASignal) {
  Add("data", alpha_, Phase::kAttaching);
  struct sigaction action {};
  action.sa_handler = [](int) {};  // no SA_RESTART: the call shall come back
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  std::atomic<pthread_t> thread{};
  auto waiting = Later([&] {
    thread = pthread_self();
    return testing::Open(Tree("alpha/data"));
  });
  EXPECT_FALSE(Done(waiting, absl::Milliseconds(100)));
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] {
    pthread_kill(thread, SIGUSR1);
    return Done(waiting, absl::Milliseconds(50));
  }));
  EXPECT_EQ(waiting.get(), EINTR);
}

TEST_F(GateTest, WhatIsElsewhereIsRefusedAtOnce) {
  const CatalogDataset dataset = Add("data", beta_, Phase::kAttached);
  EXPECT_EQ(StatErrno(Tree("beta/data")), 0);
  EXPECT_EQ(testing::Open(Tree("beta/data")), EREMOTE);
  EXPECT_EQ(testing::Open(Tree("beta/data/file")), EREMOTE);
  EXPECT_EQ(MakeDir(Tree("beta/data/dir")), EREMOTE);
  EXPECT_EQ(WriteFile(Tree("beta/data/file"), "x"), EREMOTE);
  EXPECT_EQ(chdir(Tree("beta/data").c_str()), -1);
  EXPECT_EQ(errno, EREMOTE);
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return !agent_->refusals().empty(); }));
  const auto refusals = agent_->refusals();
  EXPECT_EQ(refusals.size(), 1U);  // the same one, several times within a second
  EXPECT_EQ(refusals[0].dataset_id(), dataset.id.str());
  EXPECT_EQ(refusals[0].cause(), "elsewhere");
}

TEST_F(GateTest, WaitingEndsWhenTheDatasetGoesElsewhere) {
  CatalogDataset dataset = Add("data", alpha_, Phase::kAttaching);
  auto waiting = Later([&] { return testing::Open(Tree("alpha/data")); });
  EXPECT_FALSE(Done(waiting, absl::Milliseconds(100)));
  dataset.node = beta_;
  Publish(dataset);
  ASSERT_TRUE(Done(waiting, absl::Seconds(5)));
  EXPECT_EQ(waiting.get(), EREMOTE);
}

TEST_F(GateTest, ReleasesTheFilesystemAndTakesItUpAgain) {
  CatalogDataset dataset = Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "x"), 0);
  ASSERT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(500)), 0U);
  auto waiting = Later([&] { return testing::Open(Tree("alpha/data/file")); });
  EXPECT_FALSE(Done(waiting, absl::Milliseconds(100)));
  struct stat shut {};
  EXPECT_EQ(stat(Tree("alpha/data").c_str(), &shut), 0);  // ls -l /flocker/alpha never waits
  EXPECT_EQ(shut.st_ino, FileInode(dataset.serial, kExt4RootInode));
  ASSERT_TRUE(agent_->Drop(dataset.id, dataset.mount_epoch));
  ASSERT_EQ(UnmountNative(dataset), 0);
  // As when the O_EXCL proof failed: mounted again where it was.
  dataset = Attach(dataset, dataset.serial);
  agent_->Ungate(dataset.id);
  ASSERT_TRUE(Done(waiting, absl::Seconds(5)));
  EXPECT_EQ(waiting.get(), 0);
}

TEST_F(GateTest, CountsWhatIsOpenAndLetsItWork) {
  const CatalogDataset dataset = Attached("data");
  unique_fd open_file(open(Tree("alpha/data/file").c_str(), O_RDWR | O_CREAT, 0600));
  const unique_fd listed(open(Tree("alpha/data").c_str(), O_RDONLY | O_DIRECTORY));  // does not count: it is only read
  EXPECT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(100)), 1U);
  EXPECT_EQ(write(open_file.get(), "x", 1), 1);
  EXPECT_EQ(ftruncate(open_file.get(), 10), 0);
  EXPECT_EQ(fsync(open_file.get()), 0);
  agent_->Ungate(dataset.id);
  EXPECT_EQ(testing::Open(Tree("alpha/data/file")), 0);
  EXPECT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(100)), 1U);
}

TEST_F(GateTest, AFileClosedJustBeforeDoesNotCount) {
  const CatalogDataset dataset = Attached("data");
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "x"), 0);  // its RELEASE may still be under way
    ASSERT_EQ(agent_->Gate(dataset.id, absl::Seconds(5)), 0U);
    agent_->Ungate(dataset.id);
  }
}

TEST_F(GateTest, MappingsCountAfterTheirDescriptorIsClosed) {
  const CatalogDataset dataset = Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), std::string(4096, 'x')), 0);
  unique_fd fd(open(Tree("alpha/data/file").c_str(), O_RDONLY));
  void* map = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  fd.reset();
  EXPECT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(100)), 1U);
  munmap(map, 4096);
  EXPECT_EQ(agent_->Gate(dataset.id, absl::Seconds(5)), 0U);
}

TEST_F(GateTest, AGateEndsWithItsAgent) {
  const CatalogDataset dataset = Attached("data");
  ASSERT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(100)), 0U);
  auto waiting = Later([&] { return testing::Open(Tree("alpha/data")); });
  EXPECT_FALSE(Done(waiting, absl::Milliseconds(100)));
  agent_->Stop();
  ASSERT_TRUE(Done(waiting, absl::Seconds(5)));
  EXPECT_EQ(waiting.get(), 0);
}

TEST_F(GateTest, OpenFilesOfADroppedAttachmentAreStaleAndHoldNothing) {
  const CatalogDataset dataset = Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "old"), 0);
  const unique_fd file(open(Tree("alpha/data/file").c_str(), O_RDWR));
  ASSERT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(1)), 1U);
  ASSERT_TRUE(agent_->Drop(dataset.id, dataset.mount_epoch));
  EXPECT_EQ(UnmountNative(dataset), 0);
  char byte = 0;
  EXPECT_EQ(pwrite(file.get(), "n", 1, 0), -1);
  EXPECT_EQ(errno, ESTALE);
  CatalogDataset next = dataset;
  next.epoch = next.mount_epoch = 2;
  next = Attach(next);
  agent_->Ungate(dataset.id);
  EXPECT_EQ(pread(file.get(), &byte, 1, 0) == 1 ? 0 : errno, ESTALE);
  struct stat attributes {};
  EXPECT_EQ(fstat(file.get(), &attributes) == 0 ? 0 : errno, ESTALE);
  ASSERT_EQ(stat(Tree("alpha/data/file").c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_ino >> 32, next.serial);
}

TEST_F(GateTest, AnAttachmentThatIsOverIsLetGoWithoutBeingAsked) {
  CatalogDataset dataset = Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "x"), 0);
  CatalogDataset detached = dataset;
  detached.serial = 0;
  detached.phase = Phase::kDetached;
  Publish(detached);
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return UnmountNative(dataset) == 0; }));
}

TEST_F(GateTest, UsersOfTheTreeDoNotHoldTheFilesystem) {
  const CatalogDataset dataset = Attached("data");
  ASSERT_EQ(MakeDir(Tree("alpha/data/dir")), 0);
  const unique_fd path(open(Tree("alpha/data/dir").c_str(), O_PATH | O_DIRECTORY));
  ASSERT_TRUE(path.valid());
  ASSERT_EQ(agent_->Gate(dataset.id, absl::Milliseconds(500)), 0U);
  ASSERT_TRUE(agent_->Drop(dataset.id, dataset.mount_epoch));
  EXPECT_EQ(UnmountNative(dataset), 0);
}

TEST_F(GateTest, APausedDatasetDelaysNobodyElse) {
  const CatalogDataset slow = Attached("slow");
  Attached("fast");
  // Each there already: of those that make files in one directory, the kernel lets one through at a time.
  for (int i = 0; i < 20; ++i) ASSERT_EQ(WriteFile(Tree(absl::StrCat("alpha/slow/", i)), "x"), 0);
  // A frozen filesystem blocks writers just as a LUN does whose array is away.
  ASSERT_EQ(Freeze("-f", Native(slow)), 0);
  std::vector<std::future<int>> stuck;
  for (int i = 0; i < 20; ++i) {
    stuck.push_back(Later([this, i] { return WriteFile(Tree(absl::StrCat("alpha/slow/", i)), "x"); }));
    // One after the other: in a crowd, no receiver does one itself.
    EXPECT_FALSE(Done(stuck.back(), absl::Milliseconds(10)));
  }
  const absl::Time start = absl::Now();
  EXPECT_EQ(WriteFile(Tree("alpha/fast/file"), "x"), 0);
  EXPECT_EQ(StatErrno(Tree("alpha/slow")), 0);
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(500));
  EXPECT_GT(agent_->Gate(slow.id, absl::Milliseconds(50)).value_or(0), 0U);  // those at work count
  agent_->Ungate(slow.id);
  ASSERT_EQ(Freeze("-u", Native(slow)), 0);
  for (auto& one : stuck) {
    ASSERT_TRUE(Done(one, absl::Seconds(10)));
    EXPECT_EQ(one.get(), 0);
  }
}

TEST_F(GateTest, ADeadDaemonsMountThatNobodyKeptIsReplaced) {
  Attached("data");
  daemon_->Kill();
  device_.reset();
  EXPECT_EQ(StatErrno(Tree("alpha/data")), ENOTCONN);
  ASSERT_NO_FATAL_FAILURE(StartDaemon({}));
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return StatErrno(Tree("alpha/data")) == 0; }));
  EXPECT_EQ(WriteFile(Tree("alpha/data/file"), "x"), 0);
}

}  // namespace
}  // namespace flocker::testing
