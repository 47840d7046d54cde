// An ext4 takes over what its device has grown by: mounted where the machine permits it, unmounted anywhere, and
// whatever kills resize2fs.
#include "engine/volume/growth.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "tests/integration/volume/stand.h"

namespace flocker::testing {
namespace {

constexpr uint64_t kLarger = 8 * kImageSize;  // seven block groups more

class Growth : public VolumeStand {
 protected:
  void GrowDevice(uint64_t size) {
    ASSERT_EQ(truncate((scratch_ / "image").c_str(), static_cast<off_t>(size)), 0);
    ASSERT_OK(GrowLoop(loop_));
    const auto now = SizeOf(loop_);
    ASSERT_TRUE(now.ok()) << now.status();
    ASSERT_EQ(*now, size);
  }
  uint64_t Space() const {
    struct statvfs space {};
    EXPECT_EQ(statvfs(path_.c_str(), &space), 0);
    return space.f_blocks * space.f_frsize;
  }
  void ExpectGrownAndWhole(uint64_t space_before) {
    ASSERT_OK(CheckWhole(loop_.path(), absl::Seconds(30)));
    ASSERT_OK(MountFilesystem(Request(loop_, 1)));
    EXPECT_GT(Space(), space_before + (kLarger - kImageSize) * 9 / 10);
    EXPECT_EQ(ReadText(path_ + "/file"), "content");
    ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  }
};

TEST_F(Growth, WhileItIsMountedWhereThatIsPermitted) {
  MakeMounted();
  const uint64_t before = Space();
  ASSERT_OK(GrowMounted(loop_.path(), path_));
  EXPECT_EQ(Space(), before) << "there was nothing to grow";
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  GrowDevice(kLarger);
  const absl::Status grown = GrowMounted(loop_.path(), path_);
  if (MayGrowMounted()) {
    ASSERT_OK(grown);
    EXPECT_GT(Space(), before + (kLarger - kImageSize) * 9 / 10);
  } else {
    EXPECT_EQ(CauseOf(grown), Cause::kDenied) << grown;
    EXPECT_EQ(Space(), before);
  }
  EXPECT_EQ(ReadText(path_ + "/file"), "content");
}

TEST_F(Growth, BeforeItIsMounted) {
  MakeMounted();
  const uint64_t before = Space();
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  GrowDevice(kLarger);
  ASSERT_OK(GrowUnmounted(loop_.path()));
  ExpectGrownAndWhole(before);
  // A last piece that is too small for a block group's own tables stays unused, and nothing is checked for it again.
  GrowDevice(kLarger + (4 << 20));
  const auto superblock = ReadExt4Superblock(loop_.path());
  ASSERT_TRUE(superblock.ok() && superblock->has_value());
  ASSERT_OK(GrowUnmounted(loop_.path()));
  EXPECT_EQ((*ReadExt4Superblock(loop_.path()))->last_check, (*superblock)->last_check);
}

// Each program that writes is killed before its first write, then before its second, and so on until all come through.
TEST_F(Growth, WhereverItIsKilled) {
  MakeMounted();
  const uint64_t before = Space();
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  GrowDevice(kLarger);
  const std::string preload = absl::StrCat(FLOCKER_BIN_DIR, "/die_at_write.so");
  int killed = 0;
  while (true) {
    setenv("LD_PRELOAD", preload.c_str(), 1);
    setenv("DIE_AT_WRITE", absl::StrCat(killed + 1).c_str(), 1);
    const absl::Status grown = GrowUnmounted(loop_.path());
    unsetenv("LD_PRELOAD");
    unsetenv("DIE_AT_WRITE");
    if (grown.ok()) break;
    ASSERT_TRUE(absl::StrContains(grown.message(), absl::StrCat(128 + SIGKILL))) << grown;
    ++killed;
    const auto prepared = PrepareFilesystem(loop_.path(), id_, true);
    ASSERT_TRUE(prepared.ok()) << "killed at write " << killed << ": " << prepared.status();
    ASSERT_OK(MountFilesystem(Request(loop_, 1)));
    EXPECT_EQ(ReadText(path_ + "/file"), "content") << "killed at write " << killed;
    ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  }
  EXPECT_GT(killed, 20) << "they wrote by another call";
  ExpectGrownAndWhole(before);
}

// What e2fsck finds besides is no trace of ours: nobody says yes to it.
TEST_F(Growth, OtherDamageIsLeftToAHuman) {
  MakeMounted();
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  ASSERT_TRUE(SetLabel(loop_.path(), kGrowingLabel).ok());
  ASSERT_TRUE(RunChecked({"debugfs", "-w", "-R", "clri /file", loop_.path()}, absl::Seconds(10)).ok());
  EXPECT_EQ(CauseOf(PrepareFilesystem(loop_.path(), id_, true).status()), Cause::kIo);
  // Without that, what was interrupted before its first write is simply whole.
  ASSERT_TRUE(RunCommand({"e2fsck", "-f", "-y", loop_.path()}, absl::Seconds(30)).ok());
  ASSERT_TRUE(PrepareFilesystem(loop_.path(), id_, true).ok());
  EXPECT_EQ((*ReadExt4Superblock(loop_.path()))->label, "");
}

}  // namespace
}  // namespace flocker::testing
