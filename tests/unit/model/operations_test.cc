#include "engine/model/operations.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "engine/base/status.h"
#include "engine/model/names.h"
#include "engine/model/size.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using testing::AttachOnAlpha;
using testing::DatasetNumber;
using testing::NodeNumber;
using testing::TwoNodes;

CreateWish Wish(const std::string& name) {
  return {.operation_id = "op", .id = DatasetNumber(7), .node = NodeNumber(1), .name = name};
}

Cause Refusal(const absl::StatusOr<Dataset>& planned) {
  EXPECT_FALSE(planned.ok());
  return planned.ok() ? Cause::kIo : CauseOf(planned.status());
}

TEST(Create, FillsInTheDefaults) {
  const auto planned = PlanCreate(TwoNodes(), Wish("db"));
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(planned->size, kDefaultSize);
  EXPECT_EQ(planned->metadata.at("name"), "db");
  EXPECT_EQ(planned->placement.phase, Phase::kProvisioning);
}

TEST(Create, RefusesWithACause) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  EXPECT_EQ(Refusal(PlanCreate(cluster, Wish("db"))), Cause::kExists);
  EXPECT_EQ(Refusal(PlanCreate(cluster, Wish("self"))), Cause::kInvalid);
  CreateWish small = Wish("x");
  small.size = kMiB;
  EXPECT_EQ(Refusal(PlanCreate(cluster, small)), Cause::kRange);
  CreateWish nowhere = Wish("x");
  nowhere.node = NodeNumber(9);
  EXPECT_EQ(Refusal(PlanCreate(cluster, nowhere)), Cause::kNodeDown);
  cluster.SetLiveness(NodeNumber(1), Liveness::kSilent);
  EXPECT_EQ(Refusal(PlanCreate(cluster, Wish("x"))), Cause::kNodeDown);
  CreateWish chatty = Wish("x");
  chatty.node = NodeNumber(2);
  for (int i = 0; i < 17; ++i) chatty.metadata["k" + std::to_string(i)] = "v";
  EXPECT_EQ(Refusal(PlanCreate(cluster, chatty)), Cause::kRange);
}

TEST(Change, LabelsProtectsAndGrows) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  const uint64_t before = cluster.Find(DatasetNumber(1))->size;
  const auto change = [&](const std::function<void(ChangeWish&)>& fill) {
    ChangeWish wish{.operation_id = "c", .id = DatasetNumber(1)};
    fill(wish);
    const auto planned = PlanChange(cluster, wish);
    if (planned.ok()) cluster.Put(*planned);
    return planned;
  };
  EXPECT_TRUE(change([](ChangeWish& w) { w.metadata = {{"owner", "Zoë"}}; }).ok());
  EXPECT_TRUE(change([](ChangeWish& w) { w.protect = true; }).ok());
  const auto grown = change([&](ChangeWish& w) { w.size = before + kMiB - 1; });
  ASSERT_TRUE(grown.ok()) << grown.status();
  EXPECT_TRUE(grown->operation.done);
  EXPECT_EQ(grown->metadata.at("owner"), "Zoë");
  EXPECT_TRUE(grown->protect);
  EXPECT_EQ(grown->size, before + kMiB);
  EXPECT_EQ(grown->grows_from, before);
  EXPECT_EQ(change([&](ChangeWish& w) { w.size = before + kGiB; })->grows_from, before) << "what the LUN has";

  EXPECT_EQ(Refusal(change([&](ChangeWish& w) { w.size = before; })), Cause::kInvalid) << "it would shrink";
  EXPECT_EQ(Refusal(change([](ChangeWish& w) { w.size = kMaxSize + 1; })), Cause::kRange);
  EXPECT_EQ(Refusal(change([](ChangeWish& w) { w.metadata = {{"name", "x"}}; })), Cause::kForbidden);
  EXPECT_EQ(Refusal(change([](ChangeWish& w) { w.removed = {"name"}; })), Cause::kForbidden);
  EXPECT_EQ(Refusal(change([](ChangeWish& w) { w.metadata = {{"k", std::string(257, 'x')}}; })), Cause::kRange);
  EXPECT_EQ(Refusal(change([](ChangeWish& w) { w.metadata = {{"k", "\xff"}}; })), Cause::kInvalid);
  EXPECT_TRUE(change([](ChangeWish& w) {
                w.metadata = {{"k", "xé"}};
                for (int i = 0; i < 255; ++i) w.metadata["k"] += "é";
              }).status() != absl::OkStatus())
      << "257 characters, and not 256";

  using Keys = ChangeWish::Keys;
  const auto label = [&](Keys keys, bool remove, const std::string& key) {
    return change([&](ChangeWish& w) {
      w.keys = keys;
      if (remove) {
        w.removed = {key};
      } else {
        w.metadata = {{key, "v"}};
      }
    });
  };
  EXPECT_EQ(Refusal(label(Keys::kNew, false, "owner")), Cause::kExists);
  EXPECT_EQ(Refusal(label(Keys::kPresent, false, "other")), Cause::kNotFound);
  EXPECT_EQ(Refusal(label(Keys::kPresent, true, "other")), Cause::kNotFound);
  EXPECT_TRUE(label(Keys::kPresent, true, "owner").ok());
  EXPECT_FALSE(cluster.Find(DatasetNumber(1))->metadata.contains("owner"));
  EXPECT_EQ(Refusal(PlanDestroy(cluster, {.operation_id = "d", .id = DatasetNumber(1)})), Cause::kForbidden);
}

TEST(FindOperation, KnowsTheLastAndSomeBefore) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  EXPECT_FALSE(FindOperation(cluster, "never-asked"));
  const auto rename = [&](const std::string& operation, const std::string& name) {
    const auto planned =
        PlanRename(cluster, {.operation_id = operation, .id = DatasetNumber(1), .node = NodeNumber(1), .name = name});
    ASSERT_TRUE(planned.ok());
    cluster.Put(*planned);
  };
  rename("there", "other");
  rename("back", "db");
  for (const char* id : {"create-1", "there", "back"}) {
    const auto known = FindOperation(cluster, id);
    ASSERT_TRUE(known) << id;
    EXPECT_EQ(known->dataset, DatasetNumber(1));
    EXPECT_TRUE(known->operation.done);
  }
  for (size_t i = 0; i < kEarlierOperations; ++i) rename("more-" + std::to_string(i), "db");
  EXPECT_FALSE(FindOperation(cluster, "there")) << "not for ever: a record does not grow";
  EXPECT_TRUE(FindOperation(cluster, "back"));
}

TEST(FindOperation, KnowsOneOfTwoDatasetsAsLongAsTheOtherIsThere) {
  Cluster cluster = TwoNodes();
  for (int n : {1, 2}) {
    Dataset dataset;
    dataset.id = DatasetNumber(n);
    dataset.operation = {.id = "swap", .kind = "exchange", .done = true};
    cluster.Put(dataset);
  }
  ASSERT_TRUE(FindOperation(cluster, "swap"));
  EXPECT_EQ(FindOperation(cluster, "swap")->dataset, DatasetNumber(1));
  cluster.Erase(DatasetNumber(1));
  ASSERT_TRUE(FindOperation(cluster, "swap"));
  EXPECT_EQ(FindOperation(cluster, "swap")->dataset, DatasetNumber(2));
  cluster.Erase(DatasetNumber(2));
  EXPECT_FALSE(FindOperation(cluster, "swap"));
}

TEST(Cluster, CountsItsNodesByHowTheyAreHeard) {
  Cluster cluster = TwoNodes();
  cluster.SetLiveness(NodeNumber(1), Liveness::kConnected);
  cluster.SetLiveness(NodeNumber(2), Liveness::kSilent);
  cluster.SetLiveness(NodeNumber(2), Liveness::kDown);
  cluster.PutNode(*cluster.FindNode(NodeNumber(1)));
  cluster.SetLiveness(NodeNumber(9), Liveness::kConnected);
  EXPECT_EQ(cluster.CountNodes(Liveness::kConnected), 1U) << "nobody knows the ninth";
  EXPECT_EQ(cluster.CountNodes(Liveness::kSilent), 0U);
  EXPECT_EQ(cluster.CountNodes(Liveness::kDown), 1U);
  cluster.EraseNode(NodeNumber(2));
  EXPECT_EQ(cluster.CountNodes(Liveness::kDown), 0U);
}

TEST(Rename, OnOneNodeIsDoneAtOnce) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  const auto planned =
      PlanRename(cluster, {.operation_id = "r", .id = DatasetNumber(1), .node = NodeNumber(1), .name = "new"});
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->operation.done);
  EXPECT_EQ(planned->name, "new");
  EXPECT_EQ(planned->metadata.at("name"), "new");
  cluster.Put(*planned);
  EXPECT_EQ(cluster.FindName("db"), nullptr);
  EXPECT_NE(cluster.FindName("new"), nullptr);
}

TEST(Rename, RefusesWithACause) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  const auto rename = [&](const NodeId& node, const std::string& name) {
    return PlanRename(cluster, {.operation_id = "r", .id = DatasetNumber(1), .node = node, .name = name});
  };
  EXPECT_EQ(Refusal(rename(NodeNumber(9), "db")), Cause::kNodeDown);
  EXPECT_EQ(Refusal(rename(NodeNumber(2), "-x")), Cause::kInvalid);
  Dataset other = testing::Fresh1("other");
  other.id = DatasetNumber(2);
  cluster.Put(other);
  EXPECT_EQ(Refusal(rename(NodeNumber(1), "other")), Cause::kExists);
  EXPECT_EQ(
      Refusal(PlanRename(cluster, {.operation_id = "r", .id = DatasetNumber(5), .node = NodeNumber(1), .name = "y"})),
      Cause::kNotFound);
}

TEST(Rename, OneOperationAtATime) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  const RenameWish first{.operation_id = "a", .id = DatasetNumber(1), .node = NodeNumber(2), .name = "db"};
  const auto planned = PlanRename(cluster, first);
  ASSERT_TRUE(planned.ok());
  cluster.Put(*planned);
  EXPECT_EQ(Refusal(PlanDestroy(cluster, {.operation_id = "b", .id = DatasetNumber(1)})), Cause::kBusy);
  const auto known = FindOperation(cluster, "a");
  ASSERT_TRUE(known);
  EXPECT_FALSE(known->operation.done);
}

TEST(Rename, TheNameItWillHaveIsTakenToo) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  const auto planned =
      PlanRename(cluster, {.operation_id = "a", .id = DatasetNumber(1), .node = NodeNumber(2), .name = "later"});
  ASSERT_TRUE(planned.ok());
  cluster.Put(*planned);
  EXPECT_EQ(Refusal(PlanCreate(cluster, Wish("later"))), Cause::kExists);
  EXPECT_EQ(Refusal(PlanCreate(cluster, Wish("db"))), Cause::kExists);
}

// "db" destroyed, and its node has let go.
Cluster WithTrash() {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  cluster.Put(*PlanDestroy(cluster, {.operation_id = "d", .id = DatasetNumber(1), .now_ms = 5}));
  testing::PlanThrough(cluster, DatasetNumber(1));
  testing::Tell(cluster, DatasetNumber(1), OutcomeKind::kReleased);
  testing::PlanThrough(cluster, DatasetNumber(1));
  testing::Tell(cluster, DatasetNumber(1), OutcomeKind::kRevoked);
  testing::PlanThrough(cluster, DatasetNumber(1));
  return cluster;
}

TEST(Restore, GoesBackToWhereItWasUnderItsName) {
  Cluster cluster = WithTrash();
  const auto planned = PlanRestore(cluster, {.operation_id = "r", .id = DatasetNumber(1)});
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_TRUE(planned->operation.done);
  EXPECT_FALSE(planned->desired.deleted);
  EXPECT_EQ(planned->desired.node, NodeNumber(1));
  EXPECT_EQ(planned->trashed_ms, 0);
  cluster.Put(*planned);
  EXPECT_NE(cluster.FindName("db"), nullptr) << "its name is taken from now on";
  EXPECT_EQ(cluster.FindName("db")->ShownOn(), NodeNumber(1));
  const auto action = testing::PlanThrough(cluster, DatasetNumber(1));
  ASSERT_TRUE(action);
  EXPECT_EQ(action->kind, ActionKind::kArrayGrant);
}

// Before the restore was committed, its record is still in the trash.
TEST(Restore, IsFollowedAtOnceByAMoveOrADestroy) {
  Cluster cluster = WithTrash();
  cluster.Put(*PlanRestore(cluster, {.operation_id = "r", .id = DatasetNumber(1)}));
  ASSERT_EQ(cluster.Find(DatasetNumber(1))->placement.phase, Phase::kTrashed);
  const auto moved =
      PlanRename(cluster, {.operation_id = "m", .id = DatasetNumber(1), .node = NodeNumber(2), .name = "db"});
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_TRUE(moved->operation.done) << "nobody holds it, so nobody will report that it was let go";
  const auto destroyed = PlanDestroy(cluster, {.operation_id = "d", .id = DatasetNumber(1)});
  ASSERT_TRUE(destroyed.ok()) << destroyed.status();
  EXPECT_TRUE(destroyed->operation.done);
}

TEST(Restore, TakesANewNameToAnotherNode) {
  const Cluster cluster = WithTrash();
  const auto planned =
      PlanRestore(cluster, {.operation_id = "r", .id = DatasetNumber(1), .node = NodeNumber(2), .name = "new"});
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(planned->name, "new");
  EXPECT_EQ(planned->metadata.at("name"), "new");
  EXPECT_EQ(planned->desired.node, NodeNumber(2));
}

TEST(Restore, RefusesWithACause) {
  Cluster cluster = WithTrash();
  const RestoreWish wish{.operation_id = "r", .id = DatasetNumber(1)};
  const auto changed = [&](auto change) {
    RestoreWish other = wish;
    change(other);
    return Refusal(PlanRestore(cluster, other));
  };
  EXPECT_EQ(changed([](RestoreWish& w) { w.id = DatasetNumber(5); }), Cause::kNotFound);
  EXPECT_EQ(changed([](RestoreWish& w) { w.name = "-x"; }), Cause::kInvalid);
  EXPECT_EQ(changed([](RestoreWish& w) { w.node = NodeNumber(9); }), Cause::kNodeDown);
  cluster.SetLiveness(NodeNumber(1), Liveness::kSilent);
  EXPECT_EQ(Refusal(PlanRestore(cluster, wish)), Cause::kNodeDown);
  cluster.SetLiveness(NodeNumber(1), Liveness::kConnected);
  Dataset other = testing::Fresh1("db");
  other.id = DatasetNumber(2);
  other.operation.done = true;
  cluster.Put(other);
  EXPECT_EQ(Refusal(PlanRestore(cluster, wish)), Cause::kExists) << "another took its name meanwhile";
  EXPECT_EQ(changed([](RestoreWish& w) { w.id = DatasetNumber(2); }), Cause::kInvalid) << "it is not in the trash";
  cluster.Put(*PlanPurge(cluster, {.operation_id = "p", .id = DatasetNumber(1)}));
  EXPECT_EQ(Refusal(PlanRestore(cluster, wish)), Cause::kBusy);
  testing::PlanThrough(cluster, DatasetNumber(1));
  EXPECT_EQ(Refusal(PlanRestore(cluster, wish)), Cause::kNotFound) << "it is being purged";
}

TEST(Purge, IsDoneWhenItsLunIsGone) {
  Cluster cluster = WithTrash();
  const auto planned = PlanPurge(cluster, {.operation_id = "p", .id = DatasetNumber(1)});
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_FALSE(planned->operation.done);
  cluster.Put(*planned);
  const auto action = testing::PlanThrough(cluster, DatasetNumber(1));
  ASSERT_TRUE(action);
  EXPECT_EQ(action->kind, ActionKind::kArrayDestroy);
  const Dataset purging = *cluster.Find(DatasetNumber(1));
  const auto applied =
      Apply(purging, {.kind = OutcomeKind::kDestroyed, .dataset = DatasetNumber(1), .epoch = purging.placement.epoch},
            testing::SomeFresh());
  ASSERT_TRUE(applied);
  EXPECT_TRUE(applied->gone);
  EXPECT_TRUE(applied->dataset.operation.done);
}

TEST(Purge, RefusesWithACause) {
  Cluster cluster = WithTrash();
  EXPECT_EQ(Refusal(PlanPurge(cluster, {.operation_id = "p", .id = DatasetNumber(5)})), Cause::kNotFound);
  Dataset kept = *cluster.Find(DatasetNumber(1));
  kept.protect = true;
  cluster.Put(kept);
  EXPECT_EQ(Refusal(PlanPurge(cluster, {.operation_id = "p", .id = DatasetNumber(1)})), Cause::kForbidden);
  cluster = TwoNodes();
  AttachOnAlpha(cluster);
  EXPECT_EQ(Refusal(PlanPurge(cluster, {.operation_id = "p", .id = DatasetNumber(1)})), Cause::kInvalid)
      << "it is not in the trash";
}

TEST(Valve, RefusesAtOnceWithTheWayOut) {
  Cluster cluster = TwoNodes();
  AttachOnAlpha(cluster);
  cluster.SetLiveness(NodeNumber(1), Liveness::kDown);
  cluster.set_valve_closed(true);
  RenameWish wish{.operation_id = "a", .id = DatasetNumber(1), .node = NodeNumber(2), .name = "db"};
  const auto refused = PlanRename(cluster, wish);
  EXPECT_EQ(Refusal(refused), Cause::kNodeDown);
  EXPECT_NE(refused.status().message().find("--force"), absl::string_view::npos);
  wish.force = true;
  EXPECT_TRUE(PlanRename(cluster, wish).ok());
}

TEST(Names, KeepTheRule) {
  for (const char* good : {"a", "pg-data_1.2", "0x", "A"}) EXPECT_TRUE(CheckName(good).ok()) << good;
  EXPECT_TRUE(CheckName(std::string(128, 'a')).ok());
  const std::string bad[] = {"",
                             ".a",
                             "-a",
                             "_a",
                             "self",
                             "a/b",
                             "a b",
                             "\xff\xfe",
                             std::string("a\0b", 3),
                             "naïve",
                             "a\nb",
                             "..",
                             std::string(129, 'a'),
                             "8af507ae-5c24-4d55-9d39-c16ff7fce7b9"};
  for (const std::string& name : bad) EXPECT_EQ(CauseOf(CheckName(name)), Cause::kInvalid) << name;
}

TEST(Sizes, ParseBinaryUnitsAndRoundUp) {
  EXPECT_EQ(*ParseSize("15G"), 15 * kGiB);
  EXPECT_EQ(*ParseSize("512m"), 512 * kMiB);
  EXPECT_EQ(*ParseSize("1.5TiB"), 1536 * kGiB);
  EXPECT_EQ(*ParseSize("67108864"), kMinSize);
  EXPECT_EQ(*ParseSize("67108865"), kMinSize + kMiB);
  EXPECT_EQ(*ParseSize("65537kB"), 65 * kMiB);
  EXPECT_EQ(*ParseSize("16T"), kMaxSize);
  for (const char* bad : {"", "G", "1Q", "-1G", "1e9", "1 G", ".5G", "63M", "17T", "1GG", "9999999999999999999999T",
                          "0x40000000", "1.2.3G", "nan", "inf"}) {
    EXPECT_FALSE(ParseSize(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace flocker
