#include "engine/model/exchange.h"

#include <gtest/gtest.h>

#include "engine/base/status.h"
#include "engine/model/operations.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using testing::DatasetNumber;
using testing::NodeNumber;
using testing::PlanThrough;
using testing::Tell;
using testing::TwoNodes;

const DatasetId kOne = DatasetNumber(1);
const DatasetId kTwo = DatasetNumber(2);
const NodeId kAlpha = NodeNumber(1);
const NodeId kBeta = NodeNumber(2);

// "one" is attached on alpha, "two" on beta.
class ExchangeTest : public ::testing::Test {
 protected:
  ExchangeTest() {
    Attach(kOne, "one", kAlpha);
    Attach(kTwo, "two", kBeta);
  }
  void Attach(const DatasetId& id, const std::string& name, const NodeId& node) {
    Dataset dataset;
    dataset.id = id;
    dataset.SetName(name);
    dataset.desired = {.node = node, .name = name};
    dataset.placement.phase = Phase::kDetached;
    cluster_.Put(dataset);
    PlanThrough(cluster_, id);
    Tell(cluster_, id, OutcomeKind::kGranted);
    Tell(cluster_, id, OutcomeKind::kFormatted);
    Tell(cluster_, id, OutcomeKind::kAttached);
    ASSERT_EQ(Of(id).placement.phase, Phase::kAttached);
  }
  const Dataset& Of(const DatasetId& id) const { return *cluster_.Find(id); }
  absl::Status Ask(const DatasetId& one, const DatasetId& two) {
    const auto planned = PlanExchange(cluster_, {.operation_id = "swap", .one = one, .two = two});
    if (!planned.ok()) return planned.status();
    cluster_.Put(planned->first);
    cluster_.Put(planned->second);
    return absl::OkStatus();
  }
  // As control does it, until nothing changes any more; how many records one commit held at most.
  size_t Advance() {
    size_t most = 0;
    for (bool changed = true; changed;) {
      changed = false;
      for (const DatasetId& id : {kOne, kTwo}) {
        const auto put = AdvanceExchange(cluster_, Of(id));
        for (const Dataset& dataset : put) cluster_.Put(dataset);
        changed = changed || !put.empty();
        most = std::max(most, put.size());
      }
    }
    return most;
  }
  void ExpectUnchanged() {
    Advance();
    for (const DatasetId& id : {kOne, kTwo}) {
      EXPECT_TRUE(Of(id).operation.done);
      EXPECT_EQ(Of(id).operation.cause, "busy");
      EXPECT_EQ(Of(id).operation.message, "held");
      EXPECT_FALSE(Of(id).desired.leave);
    }
    EXPECT_EQ(Of(kOne).name, "one");
    EXPECT_EQ(Of(kTwo).name, "two");
    EXPECT_EQ(Of(kOne).desired.node, kAlpha);
    EXPECT_EQ(Of(kTwo).desired.node, kBeta);
  }

  Cluster cluster_ = TwoNodes();
};

TEST_F(ExchangeTest, OneLeavesThenTheOtherThenBothChangeInOneCommit) {
  ASSERT_TRUE(Ask(kOne, kTwo).ok());
  EXPECT_EQ(Advance(), 0U);
  EXPECT_EQ(PlanThrough(cluster_, kOne)->kind, ActionKind::kAgentRelease);
  EXPECT_FALSE(PlanThrough(cluster_, kTwo).has_value()) << "it stays until the first one has left";
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kReleased));
  EXPECT_FALSE(Of(kOne).operation.done);
  EXPECT_EQ(Advance(), 1U);
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kRevoked));
  EXPECT_FALSE(PlanThrough(cluster_, kOne).has_value()) << "nobody gets it yet";
  EXPECT_EQ(PlanThrough(cluster_, kTwo)->kind, ActionKind::kAgentRelease);
  ASSERT_TRUE(Tell(cluster_, kTwo, OutcomeKind::kReleased));
  EXPECT_EQ(Advance(), 2U);
  EXPECT_EQ(Of(kOne).name, "two");
  EXPECT_EQ(Of(kTwo).name, "one");
  EXPECT_EQ(cluster_.FindName("two")->id, kOne);
  EXPECT_EQ(cluster_.FindName("one")->id, kTwo);
  EXPECT_TRUE(Of(kOne).operation.done && Of(kTwo).operation.done);
  EXPECT_EQ(PlanThrough(cluster_, kOne)->kind, ActionKind::kArrayGrant);
  EXPECT_EQ(Of(kOne).placement.node, kBeta);
}

TEST_F(ExchangeTest, TheFirstIsInUse) {
  ASSERT_TRUE(Ask(kOne, kTwo).ok());
  PlanThrough(cluster_, kOne);
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kBusy, "held"));
  ExpectUnchanged();
  EXPECT_EQ(Of(kTwo).placement.phase, Phase::kAttached) << "it was never touched";
}

TEST_F(ExchangeTest, TheSecondIsInUseAndTheFirstGoesHome) {
  ASSERT_TRUE(Ask(kOne, kTwo).ok());
  PlanThrough(cluster_, kOne);
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kReleased));
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kRevoked));
  Advance();
  PlanThrough(cluster_, kTwo);
  ASSERT_TRUE(Tell(cluster_, kTwo, OutcomeKind::kBusy, "held"));
  // Its user is quick: the next operation begins before the first one heard of the refusal.
  const auto renamed = PlanRename(cluster_, {.operation_id = "next", .id = kTwo, .node = kBeta, .name = "two2"});
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  cluster_.Put(*renamed);
  Advance();
  EXPECT_EQ(Of(kOne).operation.cause, "busy");
  EXPECT_EQ(PlanThrough(cluster_, kOne)->kind, ActionKind::kArrayGrant);
  EXPECT_EQ(Of(kOne).placement.node, kAlpha);
}

TEST_F(ExchangeTest, NobodyLeavesForTheSakeOfADeadNode) {
  ASSERT_TRUE(Ask(kOne, kTwo).ok());
  PlanThrough(cluster_, kOne);
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kReleased));
  ASSERT_TRUE(Tell(cluster_, kOne, OutcomeKind::kRevoked));
  cluster_.SetLiveness(kAlpha, Liveness::kDown);
  Advance();
  EXPECT_EQ(Of(kOne).operation.cause, "node-down");
  EXPECT_EQ(Of(kTwo).operation.cause, "node-down");
  EXPECT_EQ(Of(kTwo).placement.phase, Phase::kAttached);
  EXPECT_FALSE(PlanThrough(cluster_, kTwo).has_value());
  cluster_.SetLiveness(kAlpha, Liveness::kConnected);
  EXPECT_EQ(PlanThrough(cluster_, kOne)->kind, ActionKind::kArrayGrant) << "it comes home";
}

TEST_F(ExchangeTest, OnOneNodeOnlyTheNamesChange) {
  const auto moved = PlanRename(cluster_, {.operation_id = "m", .id = kTwo, .node = kAlpha, .name = "two"});
  ASSERT_TRUE(moved.ok());
  cluster_.Put(*moved);
  PlanThrough(cluster_, kTwo);
  ASSERT_TRUE(Tell(cluster_, kTwo, OutcomeKind::kReleased));
  ASSERT_TRUE(Ask(kOne, kTwo).ok());
  EXPECT_EQ(Of(kOne).name, "two");
  EXPECT_EQ(Of(kTwo).name, "one");
  EXPECT_EQ(Of(kOne).placement.phase, Phase::kAttached);
  EXPECT_EQ(Advance(), 0U);
}

TEST_F(ExchangeTest, IsRefusedWithACause) {
  const auto cause = [&](const DatasetId& one, const DatasetId& two) { return CauseOf(Ask(one, two)); };
  EXPECT_EQ(cause(kOne, kOne), Cause::kInvalid);
  EXPECT_EQ(cause(kOne, DatasetNumber(3)), Cause::kNotFound);
  cluster_.SetLiveness(kBeta, Liveness::kSilent);
  EXPECT_EQ(cause(kOne, kTwo), Cause::kNodeDown);
  cluster_.SetLiveness(kBeta, Liveness::kConnected);
  ASSERT_TRUE(Ask(kOne, kTwo).ok());
  EXPECT_EQ(cause(kTwo, kOne), Cause::kBusy) << "one at a time";
}

}  // namespace
}  // namespace flocker
