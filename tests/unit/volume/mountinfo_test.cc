#include "engine/volume/mountinfo.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

namespace flocker {
namespace {

TEST(MountInfo, ReadsEveryField) {
  const auto mounts = ParseMountInfo(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:7 master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue\n");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  ASSERT_EQ(mounts->size(), 1U);
  const MountEntry& mount = mounts->front();
  EXPECT_EQ(mount.id, 36);
  EXPECT_EQ(mount.parent, 35);
  EXPECT_EQ(mount.device, makedev(98, 0));
  EXPECT_EQ(mount.root, "/mnt1");
  EXPECT_EQ(mount.mount_point, "/mnt2");
  EXPECT_EQ(mount.options, "rw,noatime");
  EXPECT_EQ(mount.shared_group, 7);
  EXPECT_EQ(mount.master_group, 1);
  EXPECT_EQ(mount.type, "ext3");
  EXPECT_EQ(mount.source, "/dev/root");
  EXPECT_EQ(mount.super_options, "rw,errors=continue");
}

TEST(MountInfo, UndoesEscapesAndKeepsWhatIsNone) {
  const auto mounts = ParseMountInfo(R"(1 0 0:9 /a\040b\134\012 /x\04 rw - fuse.a\040b  rw)");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  EXPECT_EQ(mounts->front().root, "/a b\\\n");
  EXPECT_EQ(mounts->front().mount_point, "/x\\04");
  EXPECT_EQ(mounts->front().type, "fuse.a b");
  EXPECT_EQ(mounts->front().source, "");
}

TEST(MountInfo, ASourceNamedLikeTheSeparatorDoesNotConfuse) {
  const auto mounts = ParseMountInfo("1 0 0:9 / /- rw - tmpfs - rw");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  EXPECT_EQ(mounts->front().source, "-");
}

TEST(MountInfo, NamesTheLineThatIsNone) {
  for (const char* line :
       {"x", "1 0 0:9 / / rw tmpfs none rw a b", "1 0 09 / / rw - tmpfs none rw", "1 0 0:9 / / rw - tmpfs none",
        "1 0 0:9 / / rw shared:x - tmpfs none rw", "99999999999 0 0:9 / / rw - tmpfs none rw"}) {
    const auto mounts = ParseMountInfo(std::string("1 0 0:9 / / rw - tmpfs none rw\n") + line + "\n");
    ASSERT_FALSE(mounts.ok()) << line;
    EXPECT_NE(mounts.status().message().find(line), absl::string_view::npos);
  }
}

TEST(MountInfo, KnowsWhenWritesFail) {
  MountEntry mount;
  for (const char* options : {"rw", "rw,errors=remount-ro", "rw,roflmao"}) {
    mount.super_options = options;
    EXPECT_FALSE(mount.WritesFail()) << options;
  }
  for (const char* options : {"ro", "rw,emergency_ro", "rw,shutdown,errors=continue"}) {
    mount.super_options = options;
    EXPECT_TRUE(mount.WritesFail()) << options;
  }
}

TEST(MountInfo, OwnMountsContainTheRoot) {
  const auto root = FindMount("/");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_TRUE(root->has_value());
}

TEST(IsAtOrBelow, ComparesWholeComponents) {
  EXPECT_TRUE(IsAtOrBelow("/a/b", "/a/b"));
  EXPECT_TRUE(IsAtOrBelow("/a/b/c", "/a/b"));
  EXPECT_FALSE(IsAtOrBelow("/a/bc", "/a/b"));
  EXPECT_FALSE(IsAtOrBelow("/a", "/a/b"));
  EXPECT_TRUE(IsAtOrBelow("/a", "/"));
}

}  // namespace
}  // namespace flocker
