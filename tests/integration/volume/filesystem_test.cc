#include "engine/volume/filesystem.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/mountinfo.h"
#include "tests/harness/holder_child.h"
#include "tests/integration/volume/stand.h"

namespace flocker::testing {
namespace {

class Filesystem : public VolumeStand {};

TEST_F(Filesystem, AFreshRootHasItsOwnerAndNothingInIt) {
  MakeMounted();
  struct stat root {};
  ASSERT_EQ(stat(path_.c_str(), &root), 0);
  EXPECT_EQ(root.st_uid, 1000U);
  EXPECT_EQ(root.st_gid, 1001U);
  EXPECT_EQ(root.st_mode & 07777U, 0750U);
  EXPECT_TRUE(std::filesystem::is_empty(path_));
  struct stat parent {};
  ASSERT_EQ(stat((scratch_ / "root/mnt").c_str(), &parent), 0);
  EXPECT_EQ(parent.st_mode & 07777U, 0711U);
}

TEST_F(Filesystem, IsMountedSafelyAndASecondTimeIsASuccess) {
  MakeMounted();
  ASSERT_OK(UnmountFilesystem(path_));
  EXPECT_FALSE((*FindMount(path_)).has_value());
  // The kernel shows only what differs from the superblock's default.
  ASSERT_TRUE(RunChecked({"tune2fs", "-e", "continue", loop_.path()}, absl::Seconds(10)).ok());
  ASSERT_OK(MountFilesystem(Request(loop_, 1)));
  ASSERT_OK(MountFilesystem(Request(loop_, 1)));
  const auto mount = FindMount(path_);
  ASSERT_TRUE(mount.ok() && mount->has_value());
  EXPECT_EQ((*mount)->device, loop_.device);
  EXPECT_NE((*mount)->options.find("nosuid,nodev"), std::string::npos) << (*mount)->options;
  EXPECT_TRUE((*mount)->HasSuperOption("errors=remount-ro")) << (*mount)->super_options;
  EXPECT_FALSE((*mount)->WritesFail());
  ASSERT_OK(UnmountFilesystem(path_));
}

TEST_F(Filesystem, IsShownWhereItComesToAndGoesWhereItWas) {
  MakeMounted();
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  MountRequest next = Request(loop_, 2);
  next.mounted_at = path_;
  ASSERT_OK(MountFilesystem(next));
  ASSERT_OK(UnmountFilesystem(path_));
  EXPECT_EQ(ReadText(next.path + "/file"), "content");
  const auto mount = FindMount(next.path);
  ASSERT_TRUE(mount.ok() && mount->has_value());
  EXPECT_NE((*mount)->options.find("nosuid,nodev"), std::string::npos) << (*mount)->options;
  ASSERT_OK(ReleaseFilesystem(next));
  // Nothing is there any more: it is mounted from the device.
  ASSERT_OK(MountFilesystem(next));
  EXPECT_EQ(ReadText(next.path + "/file"), "content");
  ASSERT_OK(ReleaseFilesystem(next));
}

TEST_F(Filesystem, ItsPathExistsOnlyWhileItIsMounted) {
  MakeMounted();
  EXPECT_TRUE(std::filesystem::exists(path_));
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "root/mnt"));

  MountRequest wrong = Request(loop_, 2);
  wrong.id = *DatasetId::Parse(kOtherUuid);
  EXPECT_EQ(CauseOf(MountFilesystem(wrong)), Cause::kForbidden);
  MountRequest nothing = Request(Attach(MakeImage("empty")), 3);
  EXPECT_EQ(CauseOf(MountFilesystem(nothing)), Cause::kForbidden);
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "root/mnt"));
}

TEST_F(Filesystem, IsNotMountedOverWhatSomebodyWrote) {
  MakeMounted();
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  std::filesystem::create_directories(path_);
  ASSERT_TRUE(WriteText(path_ + "/stray", "x"));
  const absl::Status status = MountFilesystem(Request(loop_, 1));
  EXPECT_NE(status.message().find("nothing was mounted"), absl::string_view::npos) << status;
  EXPECT_EQ(ReadText(path_ + "/stray"), "x");
}

TEST_F(Filesystem, SweepRemovesWhatACrashLeftAndNothingElse) {
  MakeMounted();
  const std::string stale = Request(loop_, 7).path;
  std::filesystem::create_directory(stale);
  std::filesystem::create_directory(stale + ".released");
  ASSERT_OK(SweepMountPaths(scratch_ / "root"));
  EXPECT_FALSE(std::filesystem::exists(stale));
  EXPECT_FALSE(std::filesystem::exists(stale + ".released"));
  EXPECT_TRUE((*FindMount(path_)).has_value());
  EXPECT_TRUE(SweepMountPaths(scratch_ / "no-such-root").ok());
}

TEST_F(Filesystem, ARestartedAgentFindsLoopAndMount) {
  MakeMounted();
  const auto loop = FindLoop(scratch_ / "image");
  ASSERT_TRUE(loop.ok() && loop->has_value());
  EXPECT_EQ(**loop, loop_);
  const auto mount = FindMount(MountPath(scratch_ / "root", id_, 1));
  ASSERT_TRUE(mount.ok() && mount->has_value());
  EXPECT_EQ((*mount)->device, (*loop)->device);
}

TEST_F(Filesystem, AFencedOneIsCleanedUpUnderAHolderAndAttachedAgainBesideIt) {
  MakeMounted();
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  ASSERT_OK(SyncFilesystem(path_));
  const auto copied = RunChecked({"cp", "--sparse=always", scratch_ / "image", scratch_ / "copy"}, absl::Seconds(30));
  ASSERT_TRUE(copied.ok()) << copied.status();
  {
    const HolderChild holder(SitIn(path_));
    ASSERT_OK(DetachFilesystem(path_));
    EXPECT_FALSE(std::filesystem::exists(path_));
    EXPECT_EQ(CauseOf(DetachLoop(loop_, absl::ZeroDuration())), Cause::kBusy);
    // The holder lives on a dead filesystem: reads from cache at best, and no write.
    EXPECT_FALSE(WriteText("/proc/" + std::to_string(holder.pid()) + "/cwd/file", "late"));
    EXPECT_TRUE(IsAttached(loop_));

    const LoopDevice copy = Attach(scratch_ / "copy");
    const auto prepared = PrepareFilesystem(copy.path(), id_, true);
    ASSERT_TRUE(prepared.ok()) << prepared.status();
    ASSERT_OK(MountFilesystem(Request(copy, 2)));
    EXPECT_EQ(ReadText(Request(copy, 2).path + "/file"), "content");
    EXPECT_TRUE(WriteText(Request(copy, 2).path + "/file", "newer"));
    ASSERT_OK(ReleaseFilesystem(Request(copy, 2)));
  }
  EXPECT_TRUE(DetachLoop(loop_, absl::Seconds(5)).ok()) << "it went with its last holder";
  EXPECT_TRUE(DetachFilesystem(path_).ok()) << "and again";
}

TEST_F(Filesystem, AFencedOneLeavesNoPathOfAReleaseThatHadBegun) {
  MakeMounted();
  ASSERT_OK(UnmountForProof(path_));
  ASSERT_OK(DetachFilesystem(path_));
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(path_).parent_path()));
}

TEST_F(Filesystem, AStoppedOneIsSeenToRefuseWrites) {
  MakeMounted();
  ASSERT_EQ(mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_TRUE((*FindMount(path_))->WritesFail());
}

}  // namespace
}  // namespace flocker::testing
