// What a lease forbids, what becomes of a wish, and what v1 may create.
#include "engine/model/lease.h"

#include <gtest/gtest.h>

#include "engine/base/status.h"
#include "engine/model/codec.h"
#include "engine/model/operations.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using testing::AttachOnAlpha;
using testing::DatasetNumber;
using testing::NodeNumber;
using testing::TwoNodes;

class LeaseTest : public ::testing::Test {
 protected:
  LeaseTest() {
    AttachOnAlpha(cluster_);
    id_ = cluster_.FindName("db")->id;
  }
  bool Busy(const absl::StatusOr<Dataset>& planned) {
    return !planned.ok() && CauseOf(planned.status()) == Cause::kBusy;
  }
  absl::StatusOr<Dataset> Move(int node, const std::string& name = "db") {
    return PlanRename(cluster_, {.operation_id = "m", .id = id_, .node = NodeNumber(node), .name = name});
  }

  Cluster cluster_ = TwoNodes();
  DatasetId id_;
};

TEST_F(LeaseTest, KeepsADatasetOnItsNode) {
  cluster_.PutLease({.dataset = id_, .node = NodeNumber(1)});
  EXPECT_TRUE(Busy(Move(2)));
  EXPECT_TRUE(Busy(PlanDestroy(cluster_, {.operation_id = "d", .id = id_, .force = true})));
  EXPECT_TRUE(Move(1, "renamed").ok()) << "it stays there";
  Dataset other = testing::Fresh1("other");
  other.id = DatasetNumber(2);
  other.desired.node = NodeNumber(2);
  other.operation.done = true;
  cluster_.Put(other);
  const auto exchanged = PlanExchange(cluster_, {.operation_id = "e", .one = other.id, .two = id_});
  EXPECT_EQ(CauseOf(exchanged.status()), Cause::kBusy);
  cluster_.EraseLease(id_);
  EXPECT_TRUE(Move(2).ok());
}

TEST_F(LeaseTest, ForAnotherNodeMeansNothing) {
  cluster_.PutLease({.dataset = id_, .node = NodeNumber(2)});
  EXPECT_TRUE(Move(2).ok());
  EXPECT_TRUE(PlanDestroy(cluster_, {.operation_id = "d", .id = id_}).ok());
}

TEST_F(LeaseTest, AWishIsOpenUntilItIsSoOrCannotBe) {
  const Wish move{.dataset = id_, .node = NodeNumber(2)};
  const Wish destroy{.dataset = id_};
  EXPECT_EQ(StateOf(move, cluster_.Find(id_)), WishState::kOpen);
  EXPECT_EQ(StateOf(destroy, cluster_.Find(id_)), WishState::kOpen);
  EXPECT_EQ(StateOf({.dataset = id_, .node = NodeNumber(1)}, cluster_.Find(id_)), WishState::kOver);
  EXPECT_EQ(StateOf(destroy, nullptr), WishState::kOver);
  Dataset dataset = *Move(2);
  EXPECT_EQ(StateOf(move, &dataset), WishState::kUnderWay);
  dataset.operation.done = true;
  EXPECT_EQ(StateOf(move, &dataset), WishState::kOver);
  EXPECT_EQ(StateOf(destroy, &dataset), WishState::kOpen);
  dataset.desired.deleted = true;
  EXPECT_EQ(StateOf(destroy, &dataset), WishState::kOver);
}

TEST_F(LeaseTest, RecordsReadBackAsTheyWere) {
  for (const Lease& lease :
       {Lease{.dataset = id_, .node = NodeNumber(2)}, Lease{.dataset = id_, .node = NodeNumber(2), .expires_ms = -7}}) {
    EXPECT_EQ(LeaseFromJson(ToJson(lease)).value(), lease);
  }
  for (const Wish& wish : {Wish{.dataset = id_, .node = NodeNumber(2), .since_ms = 12}, Wish{.dataset = id_}}) {
    EXPECT_EQ(WishFromJson(ToJson(wish)).value(), wish);
  }
  EXPECT_FALSE(LeaseFromJson(ToJson(Wish{.dataset = id_})).ok());
}

class V1Create : public LeaseTest {
 protected:
  Dataset Create(const std::map<std::string, std::string>& metadata) {
    const auto planned = PlanCreate(
        cluster_,
        {.operation_id = "op", .id = DatasetNumber(7), .node = NodeNumber(9), .metadata = metadata, .v1 = true});
    EXPECT_TRUE(planned.ok()) << planned.status();
    return planned.value_or(Dataset());
  }
};

TEST_F(V1Create, NeedsNoNodeThatIsKnown) {
  const Dataset dataset = Create({{"name", "new"}});
  EXPECT_EQ(dataset.name, "new");
  EXPECT_EQ(dataset.desired.node, NodeNumber(9));
  Dataset made = dataset;
  made.placement.phase = Phase::kDetached;
  made.operation.done = true;
  cluster_.Put(made);
  const Step step = NextStep(made, cluster_, testing::SomeFresh());
  EXPECT_FALSE(step.commit || step.action) << "it waits for its node";
}

TEST_F(V1Create, IsRefusedWhereTheNodeIsDrained) {
  cluster_.SetDrained(NodeNumber(2), true);
  const auto planned =
      PlanCreate(cluster_, {.operation_id = "op", .id = DatasetNumber(7), .node = NodeNumber(2), .v1 = true});
  EXPECT_EQ(CauseOf(planned.status()), Cause::kForbidden);
}

TEST_F(V1Create, NamesWhatCannotHaveItsNameByItsId) {
  const std::string brief = "ds-" + DatasetNumber(7).Short();
  for (const std::map<std::string, std::string>& metadata :
       {std::map<std::string, std::string>{}, {{"name", "db"}}, {{"name", ""}}, {{"name", "a/b"}}}) {
    const Dataset dataset = Create(metadata);
    EXPECT_EQ(dataset.name, brief);
    EXPECT_EQ(dataset.desired.name, brief);
    EXPECT_EQ(dataset.metadata, metadata) << "as it was given";
  }
  Dataset taken = testing::Fresh1(brief);
  taken.id = DatasetNumber(3);
  cluster_.Put(taken);
  EXPECT_EQ(Create({}).name, "ds-" + DatasetNumber(7).str());
}

TEST_F(V1Create, KeepsItsMetadataThroughAMove) {
  Dataset dataset = Create({{"name", "db"}});
  const std::string name = dataset.name;
  dataset.SetName(name);
  EXPECT_EQ(dataset.metadata.at("name"), "db");
  dataset.SetName("other");
  EXPECT_EQ(dataset.metadata.at("name"), "other");
}

}  // namespace
}  // namespace flocker
