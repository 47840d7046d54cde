#include "fusefs/inode_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace flocker {
namespace {

const DatasetId kDataset = *DatasetId::Parse("11111111-0000-4000-8000-000000000000");
const NodeId kAlpha = *NodeId::Parse("aaaaaaaa-0000-4000-8000-000000000000");
const NodeId kBeta = *NodeId::Parse("bbbbbbbb-0000-4000-8000-000000000000");

class InodeTables : public ::testing::Test {
 protected:
  InodeTables() {
    auto memory = SavedState::NewMemory();
    kept_.reset(dup(memory->get()));
    auto state = SavedState::Create(*std::move(memory), {1024, 64, 64, 8, 16});
    EXPECT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
  }
  // Another process, after this one died.
  void Succeed() {
    state_.reset();
    auto state = SavedState::Inherit(unique_fd(dup(kept_.get())));
    ASSERT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
  }

  unique_fd kept_;
  std::unique_ptr<SavedState> state_;
};

TEST_F(InodeTables, OneFileHasOneIdUntilItIsForgotten) {
  InodeTable table(*state_);
  const auto first = table.File(kDataset, 7, {1, "handle"});
  EXPECT_EQ(table.File(kDataset, 7, {1, "handle"})->id, first->id);
  table.Forget(first->id, 1);
  EXPECT_NE(table.Find(first->id), nullptr);
  table.Forget(first->id, 1);
  EXPECT_EQ(table.Find(first->id), nullptr);
  EXPECT_NE(table.File(kDataset, 7, {1, "handle"})->id, first->id) << "an id is never used again";
}

TEST_F(InodeTables, AttachmentsHaveTheirOwnIds) {
  InodeTable table(*state_);
  EXPECT_NE(table.File(kDataset, 7, {1, "handle"})->id, table.File(kDataset, 8, {1, "handle"})->id);
  EXPECT_NE(table.File(kDataset, 7, {1, "handle"})->id, table.File(kDataset, 7, {2, "handle"})->id);
  // Numbers beside each other must not run into each other.
  EXPECT_NE(table.File(kDataset, 7, {11, "1"})->id, table.File(kDataset, 71, {1, "1"})->id);
}

TEST_F(InodeTables, DatasetsKeepTheirIdOnlyWhenThisKernelMovesThem) {
  InodeTable table(*state_);
  const auto at_alpha = table.Dataset(kDataset, {kAlpha, "data"});
  EXPECT_NE(table.Dataset(kDataset, {kBeta, "data"})->id, at_alpha->id);
  table.Moved(kDataset, {kAlpha, "data"}, {kAlpha, "renamed"});
  EXPECT_EQ(table.Dataset(kDataset, {kAlpha, "renamed"})->id, at_alpha->id);
  EXPECT_NE(table.Dataset(kDataset, {kAlpha, "data"})->id, at_alpha->id);
}

TEST_F(InodeTables, ForgettingAnOldIdLeavesTheYoungerOneOfTheSameName) {
  InodeTable table(*state_);
  const auto old_one = table.Dataset(kDataset, {kBeta, "data"});
  const auto moved = table.Dataset(kDataset, {kAlpha, "data"});
  table.Moved(kDataset, {kAlpha, "data"}, {kBeta, "data"});
  table.Forget(old_one->id, 1);
  EXPECT_EQ(table.Dataset(kDataset, {kBeta, "data"})->id, moved->id);
}

TEST_F(InodeTables, TheTreeItselfIsNeverForgotten) {
  InodeTable table(*state_);
  table.Forget(InodeTable::kTreeId, 100);
  ASSERT_NE(table.Find(InodeTable::kTreeId), nullptr);
  EXPECT_EQ(table.Find(InodeTable::kTreeId)->kind, InodeKind::kTree);
}

TEST_F(InodeTables, ASuccessorKnowsWhatTheKernelKnowsAndNoMore) {
  uint64_t file = 0;
  uint64_t forgotten = 0;
  uint64_t directory = 0;
  uint64_t dataset = 0;
  uint64_t link = 0;
  uint64_t events = 0;
  {
    InodeTable table(*state_);
    file = table.File(kDataset, 7, {1, "handle"})->id;
    table.File(kDataset, 7, {1, "handle"});
    forgotten = table.File(kDataset, 7, {1, "other"})->id;
    table.Forget(forgotten, 1);
    directory = table.NodeDirectory(kAlpha)->id;
    dataset = table.Dataset(kDataset, {kAlpha, "data"})->id;
    table.Moved(kDataset, {kAlpha, "data"}, {kAlpha, "renamed"});
    link = table.UuidLink(kDataset)->id;
    events = table.Info(InfoFile::kEvents, 1234)->id;
  }
  ASSERT_NO_FATAL_FAILURE(Succeed());
  InodeTable table(*state_);
  EXPECT_EQ(table.size(), 6u);
  ASSERT_NE(table.Find(events), nullptr);
  EXPECT_EQ(table.Find(events)->file, InfoFile::kEvents);
  EXPECT_EQ(table.Find(events)->from, 1234u);
  EXPECT_EQ(table.Find(forgotten), nullptr);
  ASSERT_NE(table.Find(file), nullptr);
  EXPECT_EQ(table.Find(file)->dataset, kDataset);
  EXPECT_EQ(table.Find(file)->serial, 7u);
  EXPECT_EQ(table.Find(file)->handle.bytes, "handle");
  EXPECT_EQ(table.File(kDataset, 7, {1, "handle"})->id, file);
  table.Forget(file, 2);
  EXPECT_NE(table.Find(file), nullptr) << "the predecessor's lookups count";
  table.Forget(file, 1);
  EXPECT_EQ(table.Find(file), nullptr);
  ASSERT_NE(table.Find(directory), nullptr);
  EXPECT_EQ(table.Find(directory)->node, kAlpha);
  EXPECT_EQ(table.Dataset(kDataset, {kAlpha, "renamed"})->id, dataset);
  EXPECT_NE(table.Dataset(kDataset, {kAlpha, "data"})->id, dataset);
  EXPECT_EQ(table.UuidLink(kDataset)->id, link);
}

TEST_F(InodeTables, ASuccessorNeverUsesAnIdAgain) {
  uint64_t last = 0;
  for (int process = 0; process < 3; ++process) {
    {
      InodeTable table(*state_);
      const auto node = table.File(kDataset, 7, {1, "handle"});
      EXPECT_GT(node->id, last);
      last = node->id;
      table.Forget(last, 1);
    }
    ASSERT_NO_FATAL_FAILURE(Succeed());
  }
}

TEST_F(InodeTables, OfTwoThatHadANameTheLaterOneKeepsItInASuccessor) {
  uint64_t moved = 0;
  {
    InodeTable table(*state_);
    table.Dataset(kDataset, {kBeta, "data"});
    moved = table.Dataset(kDataset, {kAlpha, "data"})->id;
    table.Moved(kDataset, {kAlpha, "data"}, {kBeta, "data"});
  }
  ASSERT_NO_FATAL_FAILURE(Succeed());
  InodeTable table(*state_);
  EXPECT_EQ(table.Dataset(kDataset, {kBeta, "data"})->id, moved);
}

TEST_F(InodeTables, WhatFindsNoRoomToBeSavedIsKnownAsLongAsTheProcessLives) {
  std::vector<uint64_t> ids;
  {
    InodeTable table(*state_);
    for (uint32_t i = 1; i <= 1100; ++i) ids.push_back(table.File(kDataset, i, {1, "handle"})->id);
    for (const uint64_t id : ids) EXPECT_NE(table.Find(id), nullptr);
    ids.push_back(table.File(kDataset, 1, {1, "a handle that is longer than any of ext4's"})->id);
    EXPECT_NE(table.Find(ids.back()), nullptr);
  }
  ASSERT_NO_FATAL_FAILURE(Succeed());
  InodeTable table(*state_);
  EXPECT_NE(table.Find(ids[1000]), nullptr);
  EXPECT_EQ(table.Find(ids[1099]), nullptr);
  EXPECT_EQ(table.Find(ids.back()), nullptr);
}

}  // namespace
}  // namespace flocker
