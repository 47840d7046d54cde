// flocker-fs dies and a successor goes on with the same mount: whoever uses it notices a pause.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/integration/fusefs/rig.h"

namespace flocker::testing {
namespace {

struct MountOf {
  dev_t device = 0;
  uint64_t mount = 0;
  bool operator==(const MountOf&) const = default;
};

class Takeover : public Rig {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Rig::SetUp());
    mount("fusectl", "/sys/fs/fuse/connections", "fusectl", 0, nullptr);  // EBUSY: it is there already
    data_ = Attached("data");
    root_ = Tree("alpha/data");
    ASSERT_EQ(WriteFile(root_ + "/file", "content"), 0);
    before_ = Mount();
  }
  void TearDown() override {
    if (frozen_) Thaw();
    if (!daemon_->running()) device_.reset();  // nobody answers any more
    EXPECT_EQ(Mount(), before_) << "it is another mount";
  }

  MountOf Mount() const {
    struct statx about {};
    EXPECT_EQ(statx(AT_FDCWD, Tree("").c_str(), 0, STATX_INO | STATX_MNT_ID, &about), 0);
    return {makedev(about.stx_dev_major, about.stx_dev_minor), about.stx_mnt_id};
  }
  std::string NativeRoot() const { return Native(data_); }

  // Whatever changes the ext4 stops in the middle of its call.
  void Freeze() {
    const unique_fd root(open(NativeRoot().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(ioctl(root.get(), FIFREEZE, 0), 0);
    frozen_ = true;
  }
  void Thaw() {
    const unique_fd root(open(NativeRoot().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(ioctl(root.get(), FITHAW, 0), 0);
    frozen_ = false;
  }
  // Requests that the kernel waits for.
  int Waiting() const {
    const auto text = ReadFile(absl::StrCat("/sys/fs/fuse/connections/", minor(before_.device), "/waiting"));
    int waiting = -1;
    if (text.ok() && !absl::SimpleAtoi(absl::StripSuffix(*text, "\n"), &waiting)) return -1;
    return waiting;
  }
  // Kills flocker-fs while calls of its threads stand still in the frozen ext4, and lets these end.
  void KillFrozen() {
    ASSERT_EQ(kill(daemon_->pid(), SIGKILL), 0);
    Thaw();
    ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
  }

  CatalogDataset data_;
  std::string root_;
  MountOf before_;
  bool frozen_ = false;
};

std::string Read(int fd, size_t size, off_t offset) {
  std::string text(size, '\0');
  const ssize_t got = pread(fd, text.data(), size, offset);
  if (got < 0) return absl::StrCat("errno ", errno);
  text.resize(static_cast<size_t>(got));
  return text;
}

TEST_F(Takeover, OpenFilesMappingsWorkingDirectoriesAndBindMountsGoOn) {
  ASSERT_EQ(MakeDir(root_ + "/dir"), 0);
  ASSERT_EQ(WriteFile(root_ + "/dir/inner", "inner"), 0);
  const unique_fd file(open((root_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
  const unique_fd read_only(open((root_ + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  const unique_fd log(open((root_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const unique_fd gone(open((root_ + "/closed").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0400));  // not for reopening
  ASSERT_TRUE(file && read_only && log && gone);
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  const std::string bound = scratch_ / "bound";
  ASSERT_TRUE(std::filesystem::create_directory(bound));
  ASSERT_EQ(mount((root_ + "/dir").c_str(), bound.c_str(), nullptr, MS_BIND, nullptr), 0);
  std::array<int, 2> ask{};
  std::array<int, 2> answer{};
  ASSERT_EQ(pipe(ask.data()), 0);
  ASSERT_EQ(pipe(answer.data()), 0);
  const pid_t inside = fork();
  if (inside == 0) {  // somebody whose working directory is in there
    if (chdir((root_ + "/dir").c_str()) != 0) _exit(1);
    char one = 0;
    while (read(ask[0], &one, 1) == 1 && one == '?') {
      const int fd = open("inner", O_RDONLY | O_CLOEXEC);
      one = fd >= 0 ? 'y' : 'n';
      close(fd);
      if (write(answer[1], &one, 1) != 1) _exit(1);
    }
    _exit(0);
  }
  struct stat known {};
  ASSERT_EQ(stat((root_ + "/file").c_str(), &known), 0);
  for (int round = 0; round < 3; ++round) {
    ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
    const std::string text = absl::StrCat("round ", round);
    EXPECT_EQ(pwrite(file.get(), text.data(), text.size(), 100 * round), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(Read(read_only.get(), text.size(), 100 * round), text);
    EXPECT_EQ(write(log.get(), "x", 1), 1);
    EXPECT_EQ(pwrite(gone.get(), "y", 1, round), 1);
    EXPECT_EQ(fsync(file.get()), 0);
    static_cast<char*>(map)[2000] = static_cast<char>('0' + round);
    EXPECT_EQ(msync(map, 4096, MS_SYNC), 0);
    EXPECT_EQ(Read(file.get(), 1, 2000), absl::StrCat(round));
    struct stat now {};
    EXPECT_EQ(fstat(file.get(), &now), 0);
    EXPECT_EQ(now.st_ino, known.st_ino);
    EXPECT_EQ(ReadFile(bound + "/inner").value_or("unread"), "inner");
    EXPECT_EQ(WriteFile(absl::StrCat(bound, "/made ", round), "x"), 0);
    char one = '?';
    EXPECT_EQ(write(ask[1], &one, 1), 1);
    EXPECT_EQ(read(answer[0], &one, 1), 1);
    EXPECT_EQ(one, 'y');
    EXPECT_EQ(ReadFile(NativeRoot() + "/log").value_or("unread"), std::string(static_cast<size_t>(round) + 1, 'x'));
  }
  EXPECT_EQ(write(ask[1], ".", 1), 1);
  int status = -1;
  waitpid(inside, &status, 0);
  EXPECT_EQ(status, 0);
  munmap(map, 4096);
  EXPECT_EQ(umount2(bound.c_str(), MNT_DETACH), 0);
  for (const std::array<int, 2>& pipe_ends : {ask, answer}) {
    for (const int end : pipe_ends) close(end);
  }
}

TEST_F(Takeover, ADeletedFileThatIsStillOpenIsStaleAndNothingElse) {
  const unique_fd deleted(open((root_ + "/deleted").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(write(deleted.get(), "secret", 6), 6);
  ASSERT_EQ(unlink((root_ + "/deleted").c_str()), 0);
  const unique_fd replaced(open((root_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(WriteFile(root_ + "/new", "another"), 0);
  ASSERT_EQ(rename((root_ + "/new").c_str(), (root_ + "/file").c_str()), 0);
  ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
  // New files, which get the numbers of those that are gone.
  for (int i = 0; i < 20; ++i) ASSERT_EQ(WriteFile(absl::StrCat(root_, "/later", i), "wrong"), 0);
  char byte = 0;
  for (const int fd : {deleted.get(), replaced.get()}) {
    EXPECT_EQ(pread(fd, &byte, 1, 5000), -1);
    EXPECT_EQ(errno, ESTALE);
    EXPECT_EQ(pwrite(fd, "x", 1, 0), -1);
    EXPECT_EQ(errno, ESTALE);
  }
  EXPECT_EQ(ReadFile(root_ + "/file").value_or("unread"), "another");
}

TEST_F(Takeover, NothingIsDeletedBeforeWhatWasOpenIsOpenAgain) {
  ASSERT_EQ(WriteFile(root_ + "/slow", "slow"), 0);
  ASSERT_EQ(WriteFile(root_ + "/deleted", "deleted"), 0);
  const unique_fd slow(open((root_ + "/slow").c_str(), O_RDWR | O_CLOEXEC));
  const unique_fd deleted(open((root_ + "/deleted").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(slow && deleted);
  daemon_->Kill();
  // Whoever opens it waits until the lease is given back (fcntl(2), F_SETLEASE).
  unique_fd lease(open((NativeRoot() + "/slow").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(fcntl(lease.get(), F_SETSIG, SIGURG), 0);  // and not SIGIO, which would end us
  ASSERT_EQ(fcntl(lease.get(), F_SETLEASE, F_WRLCK), 0);
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  auto gone = Later([&] { return unlink((root_ + "/deleted").c_str()) == 0 ? 0 : errno; });
  EXPECT_FALSE(Done(gone, absl::Milliseconds(300)));
  lease.reset();
  ASSERT_TRUE(Done(gone, absl::Seconds(5)));
  EXPECT_EQ(gone.get(), 0);
  EXPECT_EQ(Read(deleted.get(), 10, 0), "deleted");
  EXPECT_EQ(Read(slow.get(), 10, 0), "slow");
}

TEST_F(Takeover, AnOpenDirectoryGoesOnInTheMiddle) {
  constexpr int kFiles = 1000;
  std::set<std::string> expected = {".", "..", "lost+found", "file"};
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = absl::StrCat("a rather long name for number ", i);
    ASSERT_EQ(WriteFile(absl::StrCat(NativeRoot(), "/", name), ""), 0);
    expected.insert(name);
  }
  for (int i = 0; i < 50; ++i) Add(absl::StrCat("set", i), alpha_);
  const std::unique_ptr<DIR, int (*)(DIR*)> files(opendir(root_.c_str()), closedir);
  const std::unique_ptr<DIR, int (*)(DIR*)> datasets(opendir(Tree("alpha").c_str()), closedir);
  std::multiset<std::string> seen;
  std::multiset<std::string> seen_sets;
  for (int i = 0; i < 5; ++i) {
    seen.insert(readdir(files.get())->d_name);
    seen_sets.insert(readdir(datasets.get())->d_name);
  }
  ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
  for (int i = 0; i < kFiles / 2; ++i) seen.insert(readdir(files.get())->d_name);
  ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
  while (const dirent* entry = readdir(files.get())) seen.insert(entry->d_name);
  while (const dirent* entry = readdir(datasets.get())) seen_sets.insert(entry->d_name);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()), expected);
  EXPECT_EQ(seen.size(), expected.size()) << "some twice";
  EXPECT_EQ(seen_sets.size(), 50u + 1 + 2);
  rewinddir(datasets.get());
  seen_sets.clear();
  while (const dirent* entry = readdir(datasets.get())) seen_sets.insert(entry->d_name);
  EXPECT_EQ(seen_sets.size(), 50u + 1 + 2);
}

TEST_F(Takeover, WhatIsUnderWayIsDoneOnceMoreOrFails) {
  ASSERT_EQ(MakeDir(root_ + "/dir"), 0);
  ASSERT_EQ(WriteFile(root_ + "/victim", "x"), 0);
  ASSERT_EQ(WriteFile(root_ + "/old", "old"), 0);
  ASSERT_EQ(WriteFile(root_ + "/moded", ""), 0);
  ASSERT_EQ(WriteFile(root_ + "/attributed", ""), 0);
  const unique_fd file(open((root_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
  const unique_fd log(open((root_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const unique_fd other(open((root_ + "/old").c_str(), O_RDWR | O_CLOEXEC));
  const std::string large(300000, 'w');
  const auto call = [](bool done) { return done ? 0 : errno; };
  // Each of another inode: the kernel locks it until the answer.
  std::map<std::string, std::future<int>> again;  // what may be done twice
  std::map<std::string, std::future<int>> once;
  ASSERT_NO_FATAL_FAILURE(Freeze());
  const absl::Cleanup thaw = [&] {
    if (frozen_) Thaw();
  };
  again["write"] = Later([&] { return call(pwrite(file.get(), large.data(), large.size(), 10) == 300000); });
  again["truncate"] = Later([&] { return call(ftruncate(other.get(), 2) == 0); });
  again["chmod"] = Later([&] { return call(chmod((root_ + "/moded").c_str(), 0640) == 0); });
  again["setxattr"] = Later([&] { return call(setxattr((root_ + "/attributed").c_str(), "user.a", "1", 1, 0) == 0); });
  once["append"] = Later([&] { return call(write(log.get(), "line\n", 5) == 5); });
  once["mkdir"] = Later([&] { return MakeDir(root_ + "/dir/made"); });
  once["unlink"] = Later([&] { return call(unlink((root_ + "/victim").c_str()) == 0); });
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Waiting() >= 7; })) << Waiting();
  for (auto& [name, result] : again) EXPECT_FALSE(Done(result, absl::ZeroDuration())) << name;
  ASSERT_NO_FATAL_FAILURE(KillFrozen());
  for (auto& [name, result] : again) {
    ASSERT_TRUE(Done(result, absl::Seconds(10))) << name << " hangs";
    EXPECT_EQ(result.get(), 0) << name;
  }
  for (auto& [name, result] : once) {
    ASSERT_TRUE(Done(result, absl::Seconds(10))) << name << " hangs";
    const int error = result.get();  // 0: it had not been read yet when the process died
    EXPECT_TRUE(error == EIO || error == 0) << name << ": " << error << ", as if it were done twice";
  }
  EXPECT_EQ(Read(file.get(), large.size(), 10), large);
  EXPECT_EQ(ReadFile(NativeRoot() + "/old").value_or("unread"), "ol");
  EXPECT_EQ(getxattr((root_ + "/attributed").c_str(), "user.a", nullptr, 0), 1);
  const std::string logged = ReadFile(NativeRoot() + "/log").value_or("unread");
  EXPECT_TRUE(logged.empty() || logged == "line\n") << logged;
  // Whatever became of them, it shows, and the names are as usable as before.
  EXPECT_EQ(access((root_ + "/dir/made").c_str(), F_OK), access((NativeRoot() + "/dir/made").c_str(), F_OK));
  EXPECT_EQ(access((root_ + "/victim").c_str(), F_OK), access((NativeRoot() + "/victim").c_str(), F_OK));
  rmdir((root_ + "/dir/made").c_str());
  EXPECT_EQ(MakeDir(root_ + "/dir/made"), 0);
}

TEST_F(Takeover, WhoeverWaitsGoesOnWaiting) {
  const CatalogDataset coming = Add("coming", alpha_);
  auto parked = Later([&] { return access(Tree("alpha/coming/file").c_str(), F_OK) == 0 ? 0 : errno; });
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Waiting() == 1; }));
  ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
  EXPECT_FALSE(Done(parked, absl::Milliseconds(200)));
  Attach(coming);
  ASSERT_TRUE(Done(parked, absl::Seconds(5)));
  EXPECT_EQ(parked.get(), ENOENT);
}

TEST_F(Takeover, WhoeverWaitsCanStillBeInterrupted) {
  Add("coming", alpha_);
  const pid_t waiter = fork();
  if (waiter == 0) {
    struct sigaction quiet {};
    quiet.sa_handler = [](int) {};
    sigaction(SIGUSR1, &quiet, nullptr);
    _exit(access(Tree("alpha/coming/file").c_str(), F_OK) != 0 && errno == EINTR ? 0 : 1);
  }
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Waiting() == 1; }));
  daemon_->Kill();
  ASSERT_EQ(kill(waiter, SIGUSR1), 0);  // while nobody is there
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  int status = -1;
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return waitpid(waiter, &status, WNOHANG) == waiter; }));
  EXPECT_EQ(status, 0);
}

TEST_F(Takeover, AGateHoldsUntilTheAgentSaysOtherwise) {
  const unique_fd file(open((root_ + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(agent_->Gate(data_.id, absl::Milliseconds(50)), 1u);
  daemon_->Kill();
  agent_->Stop();
  ASSERT_TRUE(daemon_->Start().ok());
  auto opened = Later([&] { return Open(root_ + "/file"); });
  EXPECT_EQ(Read(file.get(), 7, 0), "content");
  EXPECT_FALSE(Done(opened, absl::Milliseconds(300)));
  agent_->SetGated({data_.id.str()});
  agent_->Start();
  ASSERT_TRUE(agent_->WaitConnected());
  EXPECT_FALSE(Done(opened, absl::Milliseconds(300)));
  // What was open counts.
  EXPECT_EQ(agent_->Gate(data_.id, absl::Milliseconds(50)), 1u);
  agent_->Ungate(data_.id);
  ASSERT_TRUE(Done(opened, absl::Seconds(5)));
  EXPECT_EQ(opened.get(), 0);
}

TEST_F(Takeover, NothingIsHeldOfWhatWasClosed) {
  for (int i = 0; i < 20; ++i) ASSERT_EQ(WriteFile(root_ + "/file", "x"), 0);
  ASSERT_NO_FATAL_FAILURE(KillAndSucceed());
  EXPECT_EQ(agent_->Gate(data_.id, absl::Seconds(1)), 0u);
  EXPECT_TRUE(agent_->Drop(data_.id, data_.mount_epoch));
  EXPECT_EQ(UnmountNative(data_), 0);
}

TEST_F(Takeover, AnAttachmentThatEndedMeanwhileIsStale) {
  const unique_fd file(open((root_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
  const unique_fd inside(open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  daemon_->Kill();
  ASSERT_EQ(UnmountNative(data_), 0);
  CatalogDataset next = data_;
  next.serial = 0;
  next.mount_epoch = 2;
  data_ = Attach(next);
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  char byte = 0;
  EXPECT_EQ(pread(file.get(), &byte, 1, 5000), -1);
  EXPECT_EQ(errno, ESTALE);
  EXPECT_EQ(ReadFile(root_ + "/file").value_or("unread"), "content");
}

TEST_F(Takeover, ChangesOfTheTreeWaitForTheAgent) {
  daemon_->Kill();
  auto made = Later([&] { return MakeDir(Tree("alpha/fresh")); });
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  const CatalogDataset dataset = Add("fresh", alpha_, Phase::kProvisioning);
  agent_->Reply(operation->id(), "", dataset.id.str());
  ASSERT_TRUE(Done(made, absl::Seconds(5)));
  EXPECT_EQ(made.get(), 0);
}

TEST_F(Takeover, AnOperationUnderWayIsAskedForAgainUnderItsIdAndAnsweredOnce) {
  const CatalogDataset removed = Add("removed", beta_);
  auto made = Later([&] { return MakeDir(Tree("alpha/fresh")); });
  auto gone = Later([&] { return RemoveDir(Tree("beta/removed")); });
  std::set<std::string> asked;
  for (int i = 0; i < 2; ++i) {
    const auto operation = agent_->NextOperation();
    asked.insert(operation ? operation->SerializeAsString() : "nothing");
  }
  daemon_->Kill();
  // The cluster has done both meanwhile, and the tree shows it.
  const CatalogDataset fresh = Add("fresh", alpha_, Phase::kProvisioning);
  CatalogDataset trashed = removed;
  trashed.node = NodeId();
  Publish(trashed);
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  for (int i = 0; i < 2; ++i) {
    const auto again = agent_->NextOperation();
    if (!again) continue;
    EXPECT_TRUE(asked.contains(again->SerializeAsString())) << again->DebugString();
    agent_->Reply(again->id(), "", again->has_create() ? fresh.id.str() : removed.id.str());
  }
  ASSERT_TRUE(Done(made, absl::Seconds(15)) && Done(gone, absl::Seconds(15)));
  EXPECT_EQ(made.get(), 0);
  EXPECT_EQ(gone.get(), 0);
  struct stat about {};
  EXPECT_EQ(stat(Tree("alpha/fresh").c_str(), &about), 0);
  EXPECT_NE(stat(Tree("beta/removed").c_str(), &about), 0);
}

TEST_F(Takeover, WhatWasAskedForIsAskedAgainUntilControlIsThere) {
  auto made = Later([&] { return MakeDir(Tree("alpha/fresh")); });
  const auto first = agent_->NextOperation();
  ASSERT_TRUE(first.has_value());
  daemon_->Kill();
  const CatalogDataset fresh = Add("fresh", alpha_, Phase::kProvisioning);  // it was done
  agent_->SetReachable(false);
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  for (int i = 0; i < 3; ++i) {
    const auto again = agent_->NextOperation();
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->id(), first->id());
    EXPECT_FALSE(Done(made, absl::ZeroDuration())) << made.get();
    i < 2 ? agent_->Reply(again->id(), "no-control") : agent_->Reply(again->id(), "", fresh.id.str());
  }
  ASSERT_TRUE(Done(made, absl::Seconds(5)));
  EXPECT_EQ(made.get(), 0);
}

TEST_F(Takeover, WhatWasAskedForIsInProgressWhenControlStaysAway) {
  ASSERT_NO_FATAL_FAILURE(StartDaemon({"--op-timeout", "2"}));
  before_ = Mount();
  const CatalogDataset removed = Add("removed", beta_);
  auto gone = Later([&] { return RemoveDir(Tree("beta/removed")); });
  ASSERT_TRUE(agent_->NextOperation().has_value());
  daemon_->Kill();
  agent_->Stop();
  ASSERT_TRUE(daemon_->Start().ok());
  ASSERT_TRUE(Done(gone, absl::Seconds(20)));  // 5 s for the agent, 2 s for the operation
  EXPECT_EQ(gone.get(), EINPROGRESS);
}

TEST_F(Takeover, OpenFilesWaitWhileTheCatalogueIsNotFilledYet) {
  const unique_fd file(open((root_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
  const unique_fd closed(open((root_ + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file && closed);
  daemon_->Kill();
  // As by an agent of another release, which cannot read the old one and has not heard of control yet.
  ASSERT_TRUE(std::filesystem::remove(scratch_ / "catalog"));
  auto catalog = CatalogWriter::Open(scratch_ / "catalog", {alpha_, "alpha", true});
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  catalog_ = *std::move(catalog);
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  auto written = Later([&] { return pwrite(file.get(), "C", 1, 0) == 1 ? 0 : errno; });
  EXPECT_FALSE(Done(written, absl::Milliseconds(300))) << written.get();
  CatalogChange told;
  told.nodes = {{alpha_, "alpha", true}, {beta_, "beta", true}};
  told.datasets = {data_};
  ASSERT_TRUE(catalog_->Publish(told).ok());
  agent_->Changed();
  ASSERT_TRUE(Done(written, absl::Seconds(5)));
  EXPECT_EQ(written.get(), 0);
  EXPECT_EQ(Read(file.get(), 7, 0), "Content");
  EXPECT_EQ(agent_->Gate(data_.id, absl::Milliseconds(50)), 2u) << "what nobody used since is open, too";
  agent_->Ungate(data_.id);
}

// Killed while it waited for an answer of its own it would not die, and the agent would wait for its end.
TEST_F(Takeover, StartsWithoutAnAnswerOfTheTrees) {
  daemon_->Kill();
  const unique_fd silent(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  const std::string options = absl::StrCat("fd=", silent.get(), ",rootmode=40000,user_id=0,group_id=0");
  const std::string tree = scratch_ / "flocker";
  ASSERT_EQ(mount("silent", tree.c_str(), "fuse.silent", MS_NOSUID | MS_NODEV, options.c_str()), 0) << errno;
  const absl::Cleanup uncover = [&] { umount2(tree.c_str(), MNT_DETACH); };
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
}

TEST_F(Takeover, AnOrderlyHandOverFailsNothing) {
  std::atomic<bool> stop{false};
  std::vector<std::future<int>> users;
  for (int user = 0; user < 4; ++user) {
    users.push_back(Later([&, user] {
      const std::string name = absl::StrCat(root_, "/user", user);
      while (!stop) {
        if (const int error = MakeDir(name); error != 0) return error;
        if (const int error = WriteFile(name + "/file", "x"); error != 0) return error;
        if (rename((name + "/file").c_str(), (name + "/renamed").c_str()) != 0) return errno;
        if (unlink((name + "/renamed").c_str()) != 0) return errno;
        if (rmdir(name.c_str()) != 0) return errno;
      }
      return 0;
    }));
  }
  for (int round = 0; round < 10; ++round) {
    ASSERT_FALSE(Done(users[0], absl::Milliseconds(100)));
    ASSERT_EQ(kill(daemon_->pid(), SIGUSR1), 0);
    ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return !daemon_->running(); }));
    ASSERT_NO_FATAL_FAILURE(StartSuccessor());
  }
  stop = true;
  for (std::future<int>& user : users) EXPECT_EQ(user.get(), 0);
}

}  // namespace
}  // namespace flocker::testing
