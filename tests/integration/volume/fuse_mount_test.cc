// A FUSE mount whose daemon never answers: nobody reads the descriptor that it was mounted with.
#include "engine/volume/fuse_mount.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/loop.h"
#include "engine/volume/mountinfo.h"
#include "engine/volume/superblock.h"
#include "tests/harness/holder_child.h"
#include "tests/integration/volume/stand.h"

namespace flocker::testing {
namespace {

class SilentFuse : public VolumeStand {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(tree_);
    Mount(tree_, "40000");
  }

  // `root_mode`: the type of the mount's root, octal as in st_mode, which must be that of `path`.
  void Mount(const std::string& path, const std::string& root_mode) {
    device_.reset(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ASSERT_TRUE(device_.valid());
    const std::string options =
        absl::StrCat("fd=", device_.get(), ",rootmode=", root_mode, ",user_id=0,group_id=0,allow_other");
    ASSERT_EQ(mount("flocker-test", path.c_str(), "fuse.flocker-test", MS_NODEV | MS_NOSUID, options.c_str()), 0);
    const auto found = FindMount(path);
    ASSERT_TRUE(found.ok() && found->has_value());
    fuse_ = (*found)->device;
  }

  // A daemon that serves a file of 64 MiB until it is asked `until`: it tells of that, and answers no more.
  void ServeUntil(uint32_t until, int tell) {
    fcntl(device_.get(), F_SETFL, 0);
    std::vector<char> request(size_t{2} << 20);
    while (read(device_.get(), request.data(), request.size()) > 0) {
      fuse_in_header asked{};
      std::memcpy(&asked, request.data(), sizeof(asked));
      if (asked.opcode == until) break;
      struct {
        fuse_out_header header;
        union {
          fuse_init_out init;
          fuse_attr_out attr;
          fuse_open_out open;
        };
      } answer{};
      size_t size = 0;
      int error = 0;
      switch (asked.opcode) {
        case FUSE_INIT:
          answer.init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096};
          size = sizeof(answer.init);
          break;
        case FUSE_GETATTR:
          answer.attr.attr = {.ino = 1, .size = kSize, .mode = S_IFREG | 0600, .nlink = 1, .blksize = 4096};
          size = sizeof(answer.attr);
          break;
        case FUSE_OPEN:
          answer.open.open_flags = FOPEN_DIRECT_IO;
          size = sizeof(answer.open);
          break;
        case FUSE_FSYNC:
        case FUSE_FLUSH:
          break;
        default:
          error = ENOSYS;
      }
      answer.header = {
          .len = static_cast<uint32_t>(sizeof(answer.header) + size), .error = -error, .unique = asked.unique};
      if (asked.opcode != FUSE_FORGET && write(device_.get(), &answer, answer.header.len) < 0) return;
    }
    if (write(tell, "", 1) != 1) return;
    while (true) pause();
  }

  // `work` is in a process that serves the file itself until it is asked `until`; then that is killed.
  void KillWithin(uint32_t until, const std::string& file, absl::FunctionRef<void()> work) {
    ASSERT_OK(ReplaceFile(file, ""));
    Mount(file, "100000");
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const unique_fd told(ends[0]);
    unique_fd tell(ends[1]);
    const pid_t killed = fork();
    ASSERT_GE(killed, 0);
    if (killed == 0) {
      std::thread([&] { ServeUntil(until, tell.get()); }).detach();
      work();
      _exit(0);
    }
    device_.reset();
    tell.reset();
    char byte = 0;
    EXPECT_EQ(read(told.get(), &byte, 1), 1) << "the server was never asked that";
    EXPECT_TRUE(absl::IsUnavailable(AttachLoop(file, 512).status()) || FindLoop(file)->has_value());
    kill(killed, SIGKILL);
    const auto pidfd = OpenPidfd(killed);
    ASSERT_TRUE(pidfd.ok()) << pidfd.status();
    EXPECT_TRUE(WaitEnd(*pidfd, absl::Seconds(10))) << "it waits in the kernel for a server that it keeps from ending";
    ASSERT_OK(AbortFuseMount(file));  // lets it go if it does
    ASSERT_OK(DetachLoopOver(file, absl::Seconds(5)));
    ASSERT_OK(DetachFuseMount(file));
    const auto loops = ListLoops();
    ASSERT_TRUE(loops.ok()) << loops.status();
    for (const LoopDevice& loop : *loops) EXPECT_NE(loop.backing_file, file) << loop.path();
  }

  // What the kernel says to the daemon that is no daemon: 0 while the connection lives, else an errno.
  int ConnectionError() {
    std::array<char, 8192> request{};
    while (read(device_.get(), request.data(), request.size()) > 0) {
    }
    return errno == EAGAIN ? 0 : errno;
  }

  static constexpr uint64_t kSize = uint64_t{64} << 20;
  const std::string tree_ = scratch_ / "tree";
  unique_fd device_;
  dev_t fuse_ = 0;
};

TEST_F(SilentFuse, IsAbortedAndDetachedWithoutItsDaemon) {
  EXPECT_EQ(ConnectionError(), 0);
  ASSERT_OK(DetachFuseMount(tree_));
  EXPECT_EQ(ConnectionError(), ENODEV);
  EXPECT_FALSE((*FindMount(tree_)).has_value());
  EXPECT_TRUE(DetachFuseMount(tree_).ok()) << "and again";
  EXPECT_TRUE(AbortFuseConnection(fuse_).ok()) << "and again";
}

TEST_F(SilentFuse, IsAbortedWhileSomebodyHoldsIt) {
  const HolderChild holder([&] { return open(tree_.c_str(), O_PATH | O_DIRECTORY) >= 0; });
  ASSERT_OK(DetachFuseMount(tree_));
  EXPECT_EQ(ConnectionError(), ENODEV);
}

TEST_F(SilentFuse, ItsHoldersAreFoundWithoutAskingIt) {
  HolderQuery query;
  query.fuse_device = fuse_;
  query.tree_path = tree_ + "/dataset";
  query.extra_inodes = {1};  // the root's inode number is FUSE_ROOT_ID until its daemon says another
  {
    const HolderChild lister([&] { return open(tree_.c_str(), O_PATH | O_DIRECTORY) >= 0; });
    EXPECT_THAT(*FindHolders(query), ::testing::IsEmpty()) << "a directory's descriptor is no use of the dataset";
  }
  const std::string file = scratch_ / "file";
  ASSERT_OK(ReplaceFile(file, ""));
  Mount(file, "100000");
  query.fuse_device = fuse_;
  const HolderChild holder([&] { return open(file.c_str(), O_PATH) >= 0; });
  const auto holders = FindHolders(query);
  ASSERT_TRUE(holders.ok()) << holders.status();
  ASSERT_EQ(holders->size(), 1U) << Describe(*holders);
  EXPECT_EQ(holders->front().pid, holder.pid());
  query.ignored = {holder.pid()};
  EXPECT_THAT(*FindHolders(query), ::testing::IsEmpty());
  query.ignored.clear();
  query.extra_inodes.clear();
  query.serial = 1;  // inode 1 is of serial 0
  EXPECT_THAT(*FindHolders(query), ::testing::IsEmpty());
}

// An agent, and with it the last descriptor of the connection, killed while its loop device is being attached.
TEST_F(SilentFuse, WhoIsKilledWithinAnAttachEndsAndLeavesNoLoop) {
  const std::string file = scratch_ / "lun";
  KillWithin(FUSE_OPEN, file, [&] { AttachLoop(file, 512).IgnoreError(); });
}

// The same while it looks what is on the device.
TEST_F(SilentFuse, WhoIsKilledWhileItReadsTheDeviceEndsAndLeavesNoLoop) {
  const std::string file = scratch_ / "lun";
  KillWithin(FUSE_READ, file, [&] {
    const auto loop = AttachLoop(file, 512);
    if (loop.ok()) ProbeDevice(loop->path()).IgnoreError();
  });
}

TEST_F(SilentFuse, WhatIsNoFuseMountIsLeftAlone) {
  const std::string other = scratch_ / "other";
  std::filesystem::create_directory(other);
  ASSERT_EQ(mount("tmpfs", other.c_str(), "tmpfs", 0, "size=1M"), 0);
  EXPECT_EQ(CauseOf(DetachFuseMount(other)), Cause::kForbidden);
  EXPECT_TRUE((*FindMount(other)).has_value());
}

}  // namespace
}  // namespace flocker::testing
