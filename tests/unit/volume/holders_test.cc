#include "engine/volume/holders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "engine/volume/holder_mounts.h"
#include "engine/volume/holder_tasks.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const dev_t kLoop = makedev(7, 3);
const dev_t kFuse = makedev(0, 55);
const dev_t kRoot = makedev(254, 0);

HolderQuery Query() {
  HolderQuery query;
  query.device = kLoop;
  query.mount_path = "/root/mnt/u.1";
  query.fuse_device = kFuse;
  query.tree_path = "/flocker/alpha/data";
  query.serial = 9;
  query.extra_inodes = {77};
  query.fuse_roots = {"/alpha/data"};
  return query;
}

TEST(Belongs, ByDeviceSerialOrListedInode) {
  EXPECT_TRUE(Belongs(Query(), kLoop, 12));
  EXPECT_TRUE(Belongs(Query(), kFuse, (uint64_t{9} << 32) | 12));
  EXPECT_TRUE(Belongs(Query(), kFuse, 77));
  EXPECT_FALSE(Belongs(Query(), kFuse, (uint64_t{10} << 32) | 12));
  EXPECT_FALSE(Belongs(Query(), kFuse, 12));
  EXPECT_FALSE(Belongs(Query(), kRoot, 77));
  EXPECT_FALSE(Belongs(HolderQuery(), 0, 0)) << "a query for nothing finds nothing";
}

TEST(FindMapping, ReadsDeviceInHexAndInodeInDecimal) {
  const std::string other =
      "7f00-7f01 r--p 00000000 fe:00 12                    /usr/lib/libc.so.6\n7f02-7f03 rw-p 00000000 00:00 0 \n";
  EXPECT_EQ(FindMapping(Query(), other + "7f04-7f05 rw-s 00001000 07:03 4711 /mnt/a file\\012x\n"),
            "/mnt/a file\\012x");
  EXPECT_EQ(FindMapping(Query(), other + "7f04-7f05 rw-s 00000000 00:37 77          /flocker/x (deleted)"),
            "/flocker/x (deleted)");
  EXPECT_EQ(FindMapping(Query(), other), std::nullopt);
  for (const char* broken :
       {"", "\n\n", "a", "a b c", "a b c d", "a b c 7:3", "a b c 7:3 x", "a b c :: 1", " ", "      "}) {
    EXPECT_EQ(FindMapping(Query(), broken), std::nullopt) << broken;
  }
}

// Mounts as mountinfo lines, ours and another namespace's.
std::vector<SeenMount> Mounts(const std::string& here, const std::string& elsewhere = "") {
  std::vector<SeenMount> mounts;
  for (const bool is_here : {true, false}) {
    const auto entries = ParseMountInfo(is_here ? here : elsewhere);
    EXPECT_TRUE(entries.ok()) << entries.status();
    for (const MountEntry& entry : *entries) {
      SeenMount mount{entry, is_here, {}};
      if (!is_here) mount.viewer.pid = 42;
      mounts.push_back(mount);
    }
  }
  return mounts;
}

std::vector<std::string> Paths(const std::vector<SeenMount>& mounts) {
  std::vector<std::string> paths;
  for (const Holder& holder : MountHolders(Query(), mounts)) {
    EXPECT_EQ(holder.what, "mount");
    paths.push_back(std::to_string(holder.pid) + " " + holder.path);
  }
  return paths;
}

const std::string kPrivate = "1 0 254:0 / / rw - ext4 /dev/a rw\n";
const std::string kShared = "1 0 254:0 / / rw shared:1 - ext4 /dev/a rw\n";
const std::string kOfficial = "2 1 7:3 / /root/mnt/u.1 rw - ext4 /dev/loop3 rw\n";
const std::string kTree = "3 1 0:55 / /flocker rw - fuse.flocker-fs flocker rw\n";

TEST(MountHolders, TheDatasetsOwnMountAndTheTreeAreNone) {
  EXPECT_THAT(Paths(Mounts(kPrivate + kOfficial + kTree)), IsEmpty());
}

TEST(MountHolders, ASecondMountOrABindHere) {
  EXPECT_THAT(Paths(Mounts(kPrivate + kOfficial + "4 1 7:3 /sub /x rw - ext4 /dev/loop3 rw\n")), ElementsAre("0 /x"));
  EXPECT_THAT(Paths(Mounts(kPrivate + kOfficial + "4 2 7:3 / /root/mnt/u.1 rw - ext4 /dev/loop3 rw\n")),
              ElementsAre("0 /root/mnt/u.1"));
  EXPECT_THAT(Paths(Mounts(kPrivate + kTree + "4 1 0:55 /alpha/data/sub /x rw - fuse.flocker-fs flocker rw\n")),
              ElementsAre("0 /x"));
}

TEST(MountHolders, WhatIsMountedOnOrBelowItsPaths) {
  EXPECT_THAT(Paths(Mounts(kPrivate + kOfficial + "4 2 0:9 / /root/mnt/u.1/sub rw - tmpfs t rw\n" +
                           "5 3 0:9 / /flocker/alpha/data rw - tmpfs t rw\n" +
                           "6 3 0:9 / /flocker/alpha/data2 rw - tmpfs t rw\n")),
              ElementsAre("0 /root/mnt/u.1/sub", "0 /flocker/alpha/data"));
}

TEST(MountHolders, BindsInAnotherNamespace) {
  EXPECT_THAT(Paths(Mounts(kPrivate + kOfficial + kTree,
                           "11 0 254:0 /c / rw - ext4 /dev/a rw\n"
                           "12 11 7:3 / /native rw - ext4 /dev/loop3 rw\n"
                           "13 11 0:55 /alpha/data /tree rw - fuse.flocker-fs flocker rw\n"
                           "14 11 0:55 /alpha/other /other rw - fuse.flocker-fs flocker rw\n"
                           "15 11 0:55 / /all rw - fuse.flocker-fs flocker rw\n"
                           "16 11 0:55 /alpha/data//deleted /old rw - fuse.flocker-fs flocker rw\n")),
              ElementsAre("42 /native", "42 /tree"));
}

TEST(MountHolders, ACopyHoldsUnlessOurUmountReachesIt) {
  const std::string copy = "12 11 7:3 / /root/mnt/u.1 rw - ext4 /dev/loop3 rw\n";
  const auto root = [](const std::string& propagation) {
    return "11 0 254:0 / / rw " + propagation + "- ext4 /dev/a rw\n";
  };
  const std::vector<std::string> held = {"42 /root/mnt/u.1"};
  EXPECT_EQ(Paths(Mounts(kPrivate + kOfficial, root("") + copy)), held);
  EXPECT_EQ(Paths(Mounts(kShared + kOfficial, root("") + copy)), held);
  EXPECT_EQ(Paths(Mounts(kShared + kOfficial, root("shared:2 ") + copy)), held);
  EXPECT_EQ(Paths(Mounts(kPrivate + kOfficial, root("master:1 ") + copy)), held);
  EXPECT_THAT(Paths(Mounts(kShared + kOfficial, root("shared:1 ") + copy)), IsEmpty());
  EXPECT_THAT(Paths(Mounts(kShared + kOfficial, root("master:1 ") + copy)), IsEmpty());
  // A slave of a slave, seen before the one in between.
  EXPECT_THAT(Paths(Mounts(kShared + kOfficial,
                           root("master:5 ") + copy + "21 0 254:0 / / rw shared:5 master:1 - ext4 /dev/a rw\n")),
              IsEmpty());
}

TEST(MountHolders, ACopyElsewhereInAReceivingNamespaceHolds) {
  const std::string root = "11 0 254:0 / / rw master:1 - ext4 /dev/a rw\n";
  EXPECT_THAT(Paths(Mounts(kShared + kOfficial, root + "12 11 7:3 / /x rw - ext4 /dev/loop3 rw\n")),
              ElementsAre("42 /x"));
  EXPECT_THAT(Paths(Mounts(kShared + kOfficial, root + "12 11 7:3 /sub /root/mnt/u.1 rw - ext4 /dev/loop3 rw\n")),
              ElementsAre("42 /root/mnt/u.1"));
  // The receiving mount shows another part of the parent's filesystem: same path, another place.
  EXPECT_THAT(Paths(Mounts(
                  kShared + kOfficial,
                  "11 0 254:0 /c / rw master:1 - ext4 /dev/a rw\n12 11 7:3 / /root/mnt/u.1 rw - ext4 /dev/loop3 rw\n")),
              ElementsAre("42 /root/mnt/u.1"));
}

TEST(Describe, StaysOneLineWhateverTheNames) {
  Holder holder;
  holder.pid = 123;
  holder.command = "ev) il\n(";
  holder.what = "fd 5";
  holder.path = "/mnt/a\nb";
  const std::string text = Describe({holder});
  EXPECT_EQ(text, "held by pid 123 (ev) il\\n(), uid 0: fd 5 /mnt/a\\nb");
}

TEST(Describe, SaysWhoAndWhere) {
  Holder holder;
  holder.pid = 123;
  holder.command = "postgres";
  holder.uid = 999;
  holder.what = "cwd";
  holder.path = "/data";
  holder.mount_namespace = 4026532201;
  holder.container = "0123456789abcdef";
  EXPECT_EQ(Describe({holder}),
            "held by pid 123 (postgres), uid 999, mount namespace 4026532201, in container 0123456789ab: cwd /data");
}

TEST(Describe, CutsLongListsAndExplainsEmptyOnes) {
  EXPECT_THAT(Describe(std::vector<Holder>(6)), HasSubstr("and 2 more"));
  EXPECT_THAT(Describe(std::vector<Holder>(4)), Not(HasSubstr("more")));
  EXPECT_THAT(Describe({}), HasSubstr("no process or mount shows"));
}

TEST(Identify, ReadsWhoWeAre) {
  std::vector<Holder> holders;
  ASSERT_TRUE(ForEachTask([&](const ProcTask& task) {
                if (task.tid == getpid()) holders.push_back(Identify(task));
              }).ok());
  ASSERT_EQ(holders.size(), 1U);
  EXPECT_EQ(holders[0].pid, getpid());
  EXPECT_EQ(holders[0].uid, getuid());
  EXPECT_EQ(holders[0].command, "unit_volume_tes");
  EXPECT_NE(holders[0].mount_namespace, 0U);
}

}  // namespace
}  // namespace flocker
