#include "engine/control/adoption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "engine/control/restored_state.h"
#include "engine/model/codec.h"
#include "engine/model/planner.h"
#include "engine/store/backup.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::NodeNumber;

DatasetId Id(int n) { return *DatasetId::Parse("00000000-0000-4000-8000-00000000000" + std::to_string(n)); }

Dataset Attached(int n, const std::string& name, uint64_t epoch) {
  Dataset dataset;
  dataset.id = Id(n);
  dataset.SetName(name);
  dataset.size = 4096;
  dataset.formatted = true;
  dataset.created_ms = n;
  dataset.desired = {.node = NodeNumber(1), .name = name};
  dataset.placement.node = NodeNumber(1);
  dataset.placement.phase = Phase::kAttached;
  dataset.placement.epoch = epoch - 1;
  dataset.placement.grant = NextGrant(dataset, NodeNumber(1), {.secret = "0123456789abcdef"});
  dataset.placement.epoch = dataset.placement.mount_epoch = epoch;
  dataset.placement.granted = true;
  return dataset;
}

ArrayEntry On(const Dataset& dataset) {
  return {.id = dataset.id,
          .size = dataset.size,
          .used = 4096,
          .record = ToJson(dataset, Secrets::kOmit),
          .exported = true,
          .allowed = {dataset.placement.grant.initiator}};
}

TEST(Adoption, RebuildsALostStateFromTheRecords) {
  Dataset moving = Attached(1, "db", 7);
  moving.desired = {.node = NodeNumber(2), .name = "db2"};
  Dataset trashed = Attached(2, "old", 3);
  trashed.desired.deleted = true;
  const auto adoption = PlanAdoption({}, {On(moving), On(trashed)}, 99);
  ASSERT_TRUE(adoption.ok()) << adoption.status();
  ASSERT_EQ(adoption->datasets.size(), 2u);
  const Dataset& db = adoption->datasets[0];
  EXPECT_EQ(db.name, "db2");
  EXPECT_EQ(db.desired.node, NodeNumber(2));
  EXPECT_EQ(db.placement.phase, Phase::kDetached);
  EXPECT_EQ(db.placement.epoch, 7 + kEpochJump);
  EXPECT_FALSE(db.placement.node);
  EXPECT_EQ(adoption->datasets[1].placement.phase, Phase::kTrashed);
  EXPECT_EQ(adoption->datasets[1].trashed_ms, 99);
  EXPECT_THAT(adoption->notes, IsEmpty());
}

TEST(Adoption, EpochsGoBeyondWhatTheArrayRemembersAlone) {
  ArrayEntry entry = On(Attached(1, "db", 5));
  entry.sessions.push_back({Attached(1, "db", 8).placement.grant.initiator, 1});
  EXPECT_EQ(PlanAdoption({}, {entry}, 0)->datasets[0].placement.epoch, 8 + kEpochJump);
}

TEST(Adoption, WhatWasUnderWayIsOverAndWhatWasPromisedStands) {
  Dataset leaving = Attached(1, "one", 3);
  leaving.desired.leave = true;
  leaving.operation = {.id = "swap", .kind = "exchange", .with = Id(2)};
  Dataset growing = Attached(2, "two", 3);
  growing.size = 8192;
  growing.grows_from = 4096;
  ArrayEntry smaller = On(growing);
  smaller.size = 4096;
  const auto adoption = PlanAdoption({}, {On(leaving), smaller}, 7);
  ASSERT_TRUE(adoption.ok()) << adoption.status();
  const Dataset& one = adoption->datasets[0];
  EXPECT_FALSE(one.desired.leave);
  EXPECT_TRUE(one.operation.done);
  EXPECT_EQ(one.operation.cause, "io") << "it did not happen";
  EXPECT_EQ(adoption->datasets[1].size, 8192U);
  EXPECT_EQ(adoption->datasets[1].grows_from, 4096U);
}

TEST(Adoption, WhatTakesSpaceIsNeverFormattedAgain) {
  Dataset blank = Attached(1, "db", 1);
  blank.formatted = false;
  ArrayEntry entry = On(blank);
  EXPECT_TRUE(PlanAdoption({}, {entry}, 0)->datasets[0].formatted);
  entry.used = 0;
  EXPECT_FALSE(PlanAdoption({}, {entry}, 0)->datasets[0].formatted);
}

TEST(Adoption, TheRecordWinsOverARestoredStateAndTheStateOverARecord) {
  Snapshot state;
  state.datasets = {Attached(1, "before", 5)};
  const std::vector<ArrayEntry> entries = {On(Attached(1, "after", 5))};
  EXPECT_EQ(PlanAdoption(state, entries, 0)->datasets[0].name, "before");
  state.meta[kRestoredMeta] = "backup 1";
  EXPECT_EQ(PlanAdoption(state, entries, 0)->datasets[0].name, "after");
}

TEST(Adoption, WhatCannotBeReadStopsItByName) {
  ArrayEntry entry = On(Attached(1, "db", 5));
  entry.record.resize(entry.record.size() / 2);
  const auto adoption = PlanAdoption({}, {entry}, 0);
  EXPECT_EQ(adoption.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(adoption.status().message()), HasSubstr(Id(1).str() + ".json"));
}

TEST(Adoption, WhatHasNoRecordOrNoLunIsLeftAloneAndSaid) {
  const auto adoption =
      PlanAdoption({}, {{.id = Id(1), .size = 4096}, {.id = Id(2), .record = On(Attached(2, "b", 1)).record}}, 0);
  ASSERT_TRUE(adoption.ok()) << adoption.status();
  EXPECT_EQ(adoption->notes.size(), 2u);
  EXPECT_LE(adoption->datasets.size(), 1u);
}

TEST(Adoption, OneNameIsOneDatasets) {
  const auto adoption = PlanAdoption({}, {On(Attached(2, "db", 1)), On(Attached(1, "db", 1))}, 0);
  ASSERT_TRUE(adoption.ok()) << adoption.status();
  EXPECT_EQ(adoption->datasets[0].id, Id(1));
  EXPECT_EQ(adoption->datasets[0].name, "db");
  EXPECT_EQ(adoption->datasets[1].name, "db-" + Id(2).Short());
}

TEST(Adoption, OneWithDataKeepsItsNameAgainstAnOlderOneWithoutALun) {
  const auto adoption = PlanAdoption({.datasets = {Attached(1, "db", 1)}}, {On(Attached(2, "db", 1))}, 0);
  ASSERT_TRUE(adoption.ok()) << adoption.status();
  ASSERT_EQ(adoption->datasets.size(), 2u);
  EXPECT_EQ(adoption->datasets[0].id, Id(2));
  EXPECT_EQ(adoption->datasets[0].name, "db");
  EXPECT_EQ(adoption->datasets[1].name, "db-" + Id(1).Short());
}

TEST(RestoredState, IsRefusedWhenTheArrayIsNewer) {
  Snapshot state;
  state.datasets = {Attached(1, "db", 5)};
  EXPECT_THAT(NewerOnArray(state, {On(Attached(1, "db", 5))}), IsEmpty());
  EXPECT_THAT(NewerOnArray(state, {On(Attached(1, "db", 6))}), ElementsAre(HasSubstr("epoch 6")));
  EXPECT_THAT(NewerOnArray(state, {On(Attached(2, "new", 1))}), ElementsAre(HasSubstr("unknown")));
}

rpc::AgentHello HelloOf(int node, const std::vector<std::pair<DatasetId, uint64_t>>& held) {
  rpc::AgentHello hello;
  hello.mutable_node()->set_id(NodeNumber(node).str());
  hello.mutable_node()->set_name("n" + std::to_string(node));
  for (const auto& [id, epoch] : held) {
    rpc::Held& item = *hello.add_held();
    item.set_dataset_id(id.str());
    item.set_epoch(epoch);
  }
  return hello;
}

TEST(RestoredState, WaitsForEveryNodeAndForWhatIsNewerToGo) {
  Snapshot state;
  state.meta[kRestoredMeta] = "backup 1";
  state.nodes = {{NodeNumber(1), "n1", "", ""}, {NodeNumber(2), "n2", "", ""}};
  Cluster cluster;
  for (const Node& node : state.nodes) cluster.PutNode(node);
  cluster.Put(Attached(1, "db", 5));
  RestoredState restored(state);
  EXPECT_TRUE(restored.held());
  EXPECT_FALSE(restored.Hear(cluster, NodeNumber(1), HelloOf(1, {{Id(1), 6}})));
  EXPECT_FALSE(restored.Hear(cluster, NodeNumber(2), HelloOf(2, {})));
  EXPECT_THAT(restored.Reason(cluster), HasSubstr("n1 holds db under epoch 6"));
  EXPECT_TRUE(restored.Hear(cluster, NodeNumber(1), HelloOf(1, {{Id(1), 5}})));
  EXPECT_FALSE(restored.held());
  EXPECT_FALSE(RestoredState(Snapshot{}).held());
}

}  // namespace
}  // namespace flocker
