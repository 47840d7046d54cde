#include "engine/volume/loop.h"

#include <fcntl.h>

#include <filesystem>

#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "tests/integration/volume/stand.h"

namespace flocker::testing {
namespace {

class Loop : public VolumeStand {};

TEST_F(Loop, HasDirectIoAndTheGivenBlockSize) {
  const auto loop = AttachLoop(MakeImage("image"), 4096);
  ASSERT_TRUE(loop.ok()) << loop.status();
  const std::string sysfs = "/sys/block/" + loop->path().substr(5);
  EXPECT_EQ(*ReadFile(sysfs + "/loop/dio"), "1\n");
  EXPECT_EQ(*ReadFile(sysfs + "/queue/logical_block_size"), "4096\n");
  EXPECT_EQ(*ReadFile(sysfs + "/queue/max_sectors_kb"), "1024\n");
}

TEST_F(Loop, WithoutDirectIoIsAnErrorAndLeavesNothing) {
  // A filesystem on 4096-byte sectors cannot do direct I/O for a device of 512-byte ones.
  const auto outer = AttachLoop(MakeImage("image"), 4096);
  ASSERT_TRUE(outer.ok()) << outer.status();
  ASSERT_TRUE(PrepareFilesystem(outer->path(), id_, false).ok());
  ASSERT_OK(MountFilesystem(Request(*outer, 1)));
  const std::string file = path_ + "/inner";
  ASSERT_TRUE(WriteText(file, std::string(1 << 20, 'x')));
  const auto inner = AttachLoop(file, 512);
  if (inner.ok()) {
    EXPECT_TRUE(DetachLoop(*inner, absl::Seconds(5)).ok());
  }
  EXPECT_NE(inner.status().message().find("does no direct I/O"), absl::string_view::npos) << inner.status();
  EXPECT_FALSE((*FindLoop(file)).has_value());
  EXPECT_TRUE(ReleaseFilesystem(Request(*outer, 1), absl::Seconds(5)).ok()) << "nothing holds the file any more";
}

TEST_F(Loop, IsFoundAgainByItsBackingFile) {
  const std::string image = MakeImage("image");
  MakeImage("other");
  const LoopDevice loop = Attach(image);
  const auto found = FindLoop(image);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, loop);
  EXPECT_FALSE((*FindLoop(scratch_ / "other")).has_value());
}

TEST_F(Loop, TheSameFileIsNotAttachedTwice) {
  const std::string image = MakeImage("image");
  Attach(image);
  EXPECT_EQ(CauseOf(AttachLoop(image, 512).status()), Cause::kExists);
}

TEST_F(Loop, DetachReturnsWhenItIsGoneAndAgain) {
  const LoopDevice loop = Attach(MakeImage("image"));
  ASSERT_OK(DetachLoop(loop, absl::Seconds(5)));
  EXPECT_FALSE(IsAttached(loop));
  EXPECT_FALSE(std::filesystem::exists("/sys/block/" + loop.path().substr(5) + "/loop"));
  EXPECT_TRUE(DetachLoop(loop, absl::Seconds(5)).ok());
}

TEST_F(Loop, DetachOfAnOpenDeviceSaysSoAndHappensAtTheLastClose) {
  const LoopDevice loop = Attach(MakeImage("image"));
  unique_fd opened(open(loop.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(CauseOf(DetachLoop(loop, absl::Milliseconds(20))), Cause::kBusy);
  EXPECT_TRUE(IsAttached(loop));
  opened.reset();
  EXPECT_TRUE(DetachLoop(loop, absl::Seconds(5)).ok());
}

TEST_F(Loop, ALaterAttachmentOfTheSameNumberIsLeftAlone) {
  const LoopDevice old = Attach(MakeImage("image"));
  ASSERT_OK(DetachLoop(old, absl::Seconds(5)));
  const LoopDevice now = Attach(MakeImage("other"));
  ASSERT_EQ(now.number, old.number) << "the kernel hands out the lowest free one";
  EXPECT_TRUE(DetachLoop(old, absl::Seconds(5)).ok());
  EXPECT_TRUE(IsAttached(now));
  EXPECT_EQ(CauseOf(GrowLoop(old)), Cause::kStale);
}

TEST_F(Loop, GrowsWithItsFile) {
  const std::string image = MakeImage("image");
  const LoopDevice loop = Attach(image);
  std::filesystem::resize_file(image, 2 * kImageSize);
  ASSERT_OK(GrowLoop(loop));
  EXPECT_EQ(*ReadFile("/sys/block/" + loop.path().substr(5) + "/size"), std::to_string(2 * kImageSize / 512) + "\n");
}

TEST_F(Loop, ScopedDetachesUnlessReleased) {
  const LoopDevice loop = Attach(MakeImage("image"));
  { EXPECT_EQ(ScopedLoop(loop).Release(), loop); }
  EXPECT_TRUE(IsAttached(loop));
  { const ScopedLoop scoped(loop); }
  EXPECT_FALSE(IsAttached(loop));
}

}  // namespace
}  // namespace flocker::testing
