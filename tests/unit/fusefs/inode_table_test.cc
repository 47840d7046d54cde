#include "fusefs/inode_table.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

const DatasetId kDataset = *DatasetId::Parse("11111111-0000-4000-8000-000000000000");
const NodeId kAlpha = *NodeId::Parse("aaaaaaaa-0000-4000-8000-000000000000");
const NodeId kBeta = *NodeId::Parse("bbbbbbbb-0000-4000-8000-000000000000");

TEST(InodeTable, OneFileHasOneIdUntilItIsForgotten) {
  InodeTable table;
  const auto first = table.File(kDataset, 7, {1, "handle"});
  EXPECT_EQ(table.File(kDataset, 7, {1, "handle"})->id, first->id);
  table.Forget(first->id, 1);
  EXPECT_NE(table.Find(first->id), nullptr);
  table.Forget(first->id, 1);
  EXPECT_EQ(table.Find(first->id), nullptr);
  EXPECT_NE(table.File(kDataset, 7, {1, "handle"})->id, first->id) << "an id is never used again";
}

TEST(InodeTable, AttachmentsHaveTheirOwnIds) {
  InodeTable table;
  EXPECT_NE(table.File(kDataset, 7, {1, "handle"})->id, table.File(kDataset, 8, {1, "handle"})->id);
  EXPECT_NE(table.File(kDataset, 7, {1, "handle"})->id, table.File(kDataset, 7, {2, "handle"})->id);
  // Numbers beside each other must not run into each other.
  EXPECT_NE(table.File(kDataset, 7, {11, "1"})->id, table.File(kDataset, 71, {1, "1"})->id);
}

TEST(InodeTable, DatasetsKeepTheirIdOnlyWhenThisKernelMovesThem) {
  InodeTable table;
  const auto at_alpha = table.Dataset(kDataset, {kAlpha, "data"});
  EXPECT_NE(table.Dataset(kDataset, {kBeta, "data"})->id, at_alpha->id);
  table.Moved(kDataset, {kAlpha, "data"}, {kAlpha, "renamed"});
  EXPECT_EQ(table.Dataset(kDataset, {kAlpha, "renamed"})->id, at_alpha->id);
  EXPECT_NE(table.Dataset(kDataset, {kAlpha, "data"})->id, at_alpha->id);
}

TEST(InodeTable, ForgettingAnOldIdLeavesTheYoungerOneOfTheSameName) {
  InodeTable table;
  const auto old_one = table.Dataset(kDataset, {kBeta, "data"});
  const auto moved = table.Dataset(kDataset, {kAlpha, "data"});
  table.Moved(kDataset, {kAlpha, "data"}, {kBeta, "data"});
  table.Forget(old_one->id, 1);
  EXPECT_EQ(table.Dataset(kDataset, {kBeta, "data"})->id, moved->id);
}

TEST(InodeTable, TheTreeItselfIsNeverForgotten) {
  InodeTable table;
  table.Forget(InodeTable::kTreeId, 100);
  ASSERT_NE(table.Find(InodeTable::kTreeId), nullptr);
  EXPECT_EQ(table.Find(InodeTable::kTreeId)->kind, InodeKind::kTree);
}

}  // namespace
}  // namespace flocker
