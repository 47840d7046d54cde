// "In use": who is named, and that a release that fails takes nothing from anybody.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/time/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/exclusive.h"
#include "engine/volume/mountinfo.h"
#include "tests/harness/holder_child.h"
#include "tests/integration/volume/stand.h"

namespace flocker::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Release : public VolumeStand {
 protected:
  void SetUp() override {
    MakeMounted();
    ASSERT_TRUE(WriteText(path_ + "/file", "content"));
    std::filesystem::create_directory(scratch_ / "elsewhere");
  }

  void ExpectHeld(pid_t pid, const std::string& what) {
    const auto holders = FindHolders(Query());
    ASSERT_TRUE(holders.ok()) << holders.status();
    ASSERT_EQ(holders->size(), 1U) << Describe(*holders);
    EXPECT_EQ(holders->front().pid, pid) << Describe(*holders);
    EXPECT_EQ(holders->front().what, what) << Describe(*holders);
  }

  void ExpectBusyAndUnharmed() {
    EXPECT_EQ(CauseOf(ReleaseFilesystem(Request(loop_, 1))), Cause::kBusy);
    EXPECT_EQ(ReadText(path_ + "/file"), "content");
    EXPECT_TRUE(WriteText(path_ + "/after", "still writable"));
    EXPECT_FALSE(std::filesystem::exists(path_ + ".released"));
  }

  void ExpectFree() {
    const auto holders = FindHolders(Query());
    ASSERT_TRUE(holders.ok()) << holders.status();
    EXPECT_THAT(*holders, IsEmpty()) << Describe(*holders);
    ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
    EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "root/mnt"));
    EXPECT_TRUE(DetachLoop(loop_, absl::Seconds(5)).ok());
  }
};

TEST_F(Release, OfAnIdleFilesystemSucceedsAndAgain) {
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  ExpectFree();
}

TEST_F(Release, IsRefusedByACwd) {
  {
    const HolderChild holder(SitIn(path_));
    ExpectHeld(holder.pid(), "cwd");
    ExpectBusyAndUnharmed();
  }
  ExpectFree();
}

TEST_F(Release, IsRefusedByADescriptor) {
  {
    int number = -1;
    const HolderChild holder([&] { return open((path_ + "/file").c_str(), O_RDWR) >= 0; });
    const auto holders = FindHolders(Query());
    ASSERT_TRUE(holders.ok()) << holders.status();
    ASSERT_EQ(holders->size(), 1U);
    EXPECT_EQ(std::sscanf(holders->front().what.c_str(), "fd %d", &number), 1) << holders->front().what;
    EXPECT_EQ(holders->front().path, path_ + "/file");
    ExpectBusyAndUnharmed();
  }
  ExpectFree();
}

TEST_F(Release, IsRefusedByAMappingWhoseDescriptorIsClosed) {
  {
    const HolderChild holder([&] {
      const unique_fd fd(open((path_ + "/file").c_str(), O_RDONLY));
      return mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0) != MAP_FAILED;
    });
    ExpectHeld(holder.pid(), "mmap");
    ExpectBusyAndUnharmed();
  }
  ExpectFree();
}

TEST_F(Release, IsRefusedByAThreadWithACwdOfItsOwn) {
  {
    const HolderChild holder([&] {
      Mutex mutex;
      CondVar changed;
      int outcome = 0;
      std::thread([&] {
        const bool sits = syscall(SYS_unshare, CLONE_FS) == 0 && chdir(path_.c_str()) == 0;
        {
          MutexLock lock(mutex);
          outcome = sits ? 1 : 2;
          changed.NotifyAll();
        }
        while (true) pause();
      }).detach();
      MutexLock lock(mutex);
      while (outcome == 0) changed.Wait(lock);
      return outcome == 1;
    });
    ExpectHeld(holder.pid(), "cwd");
    ExpectBusyAndUnharmed();
  }
  ExpectFree();
}

TEST_F(Release, IsRefusedByABindInAnotherNamespaceAndLeavesThatAlone) {
  {
    const HolderChild holder(BindElsewhere(path_, scratch_ / "elsewhere", path_));
    ExpectHeld(holder.pid(), "mount");
    // Nothing here keeps umount from succeeding: it is the proof that refuses.
    ExpectBusyAndUnharmed();
    EXPECT_EQ(ReadText("/proc/" + std::to_string(holder.pid()) + "/root" + (scratch_ / "elsewhere") + "/after"),
              "still writable");
  }
  ExpectFree();
}

TEST_F(Release, IsRefusedByAPrivateCopyInAnotherNamespaceAndLeavesThatAlone) {
  {
    const HolderChild holder(CopyMounts(MS_PRIVATE));
    ExpectHeld(holder.pid(), "mount");
    ExpectBusyAndUnharmed();
    EXPECT_EQ(ReadText("/proc/" + std::to_string(holder.pid()) + "/root" + path_ + "/file"), "content")
        << "the copy there was detached by our release";
  }
  ExpectFree();
}

TEST_F(Release, IsNotRefusedByACopyThatOurUmountTakesAlong) {
  // As under a service manager: the parent mount is shared here, and the other namespace is its slave.
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  const std::string root = scratch_ / "root";
  ASSERT_EQ(mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(mount(nullptr, root.c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_OK(MountFilesystem(Request(loop_, 1)));
  const HolderChild before(CopyMounts(MS_SLAVE));
  ExpectFree();
}

TEST_F(Release, IsRefusedByADetachedMountThatNoMountinfoShows) {
  {
    const HolderChild holder(
        [&] { return syscall(SYS_open_tree, AT_FDCWD, path_.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC) >= 0; });
    const auto holders = FindHolders(Query());
    ASSERT_TRUE(holders.ok());
    EXPECT_THAT(*holders, ElementsAre(Field(&Holder::pid, holder.pid()))) << Describe(*holders);
    ExpectBusyAndUnharmed();
  }
  ExpectFree();
}

TEST_F(Release, IsRefusedByAMountBelow) {
  std::filesystem::create_directory(path_ + "/below");
  ASSERT_EQ(mount("tmpfs", (path_ + "/below").c_str(), "tmpfs", 0, "size=1M"), 0);
  ExpectHeld(0, "mount");
  ExpectBusyAndUnharmed();
  ASSERT_EQ(umount2((path_ + "/below").c_str(), 0), 0);
  ExpectFree();
}

TEST_F(Release, StepByStepSurvivesACrashBetweenAnyTwo) {
  ASSERT_OK(UnmountForProof(path_));
  EXPECT_FALSE(std::filesystem::exists(path_)) << "a container could be started on it";
  ASSERT_OK(UnmountForProof(path_));
  ASSERT_OK(MountFilesystem(Request(loop_, 1)));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".released"));
  EXPECT_EQ(ReadText(path_ + "/file"), "content");
  ASSERT_OK(UnmountForProof(path_));
  ASSERT_OK(ProveExclusive(loop_.path()));
  ASSERT_OK(RemoveReleasedPath(path_));
  ASSERT_OK(RemoveReleasedPath(path_));
  ExpectFree();
}

TEST_F(Release, WaitsForAHolderThatEndsWithinTheGrace) {
  const HolderChild holder(BindElsewhere(path_, scratch_ / "elsewhere", path_));
  ASSERT_EQ(umount2(path_.c_str(), 0), 0);
  EXPECT_EQ(CauseOf(ProveExclusive(loop_.path(), absl::ZeroDuration())), Cause::kBusy);
  std::thread end([&] { kill(holder.pid(), SIGKILL); });
  EXPECT_TRUE(ProveExclusive(loop_.path(), absl::Seconds(10)).ok());
  end.join();
}

TEST_F(Release, ADescribedHolderHasPidNameAndPlace) {
  const HolderChild holder(SitIn(path_));
  const auto holders = FindHolders(Query());
  ASSERT_TRUE(holders.ok());
  const std::string text = Describe(*holders);
  EXPECT_THAT(text, HasSubstr("held by pid " + std::to_string(holder.pid()) + " (integration_vol"));
  EXPECT_THAT(text, HasSubstr("cwd " + path_));
}

TEST_F(Release, TheScanIsQuickAmongManyProcesses) {
  const auto count_and_time = [&](absl::Duration& took) {
    const absl::Time start = absl::Now();
    const auto holders = FindHolders(Query());
    took = absl::Now() - start;
    return holders.ok() && holders->empty();
  };
  std::vector<std::unique_ptr<HolderChild>> others;
  others.reserve(200);
  for (int i = 0; i < 200; ++i) others.push_back(std::make_unique<HolderChild>(SitIn("/")));
  absl::Duration took;
  EXPECT_TRUE(count_and_time(took));
  RecordProperty("scan_of_200_processes_ms", static_cast<int>(absl::ToInt64Milliseconds(took)));
  std::printf("scan with 200 more processes: %s\n", absl::FormatDuration(took).c_str());
  EXPECT_LT(took, absl::Seconds(2));
}

}  // namespace
}  // namespace flocker::testing
