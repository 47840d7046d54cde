#include "engine/catalog/inode_numbers.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

constexpr uint64_t kBit63 = uint64_t{1} << 63;

TEST(InodeNumbers, FilesCarryTheirAttachment) {
  EXPECT_EQ(FileInode(7, 2), 0x700000002U);
  EXPECT_EQ(Ext4Inode(FileInode(7, 12345)), 12345U);
  EXPECT_EQ(FileInode(0x7fffffff, 2) & kBit63, 0U);
}

TEST(InodeNumbers, TheTreesOwnAreStableAndApart) {
  const auto one = *DatasetId::Parse("11111111-0000-4000-8000-000000000000");
  const auto two = *DatasetId::Parse("11111111-0000-4000-8000-000000000001");
  EXPECT_EQ(RootInode(one) & kBit63, kBit63);
  EXPECT_NE(RootInode(one), RootInode(two));
  // FNV-1a of the empty string is its offset basis: the number may not change between releases.
  EXPECT_EQ(TreeInode(""), 0xcbf29ce484222325U);
  EXPECT_EQ(TreeInode("a"), 0xaf63dc4c8601ec8cU);
}

}  // namespace
}  // namespace flocker
