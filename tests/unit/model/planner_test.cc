#include "engine/model/planner.h"

#include <gtest/gtest.h>

#include "engine/model/operations.h"
#include "engine/model/size.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using testing::AttachOnAlpha;
using testing::DatasetNumber;
using testing::Fresh1;
using testing::NodeNumber;
using testing::PlanThrough;
using testing::SomeFresh;
using testing::Tell;
using testing::TwoNodes;

const DatasetId kId = DatasetNumber(1);
const NodeId kAlpha = NodeNumber(1);
const NodeId kBeta = NodeNumber(2);

class PlannerTest : public ::testing::Test {
 protected:
  const Dataset& record() const { return *cluster_.Find(kId); }
  Phase phase() const { return record().placement.phase; }
  ActionKind Next() {
    const auto action = PlanThrough(cluster_, kId);
    EXPECT_TRUE(action.has_value()) << "nothing planned in " << PhaseName(phase());
    return action ? action->kind : ActionKind::kArrayDestroy;
  }
  bool AtRest() { return !PlanThrough(cluster_, kId).has_value(); }
  void MoveTo(const NodeId& node, bool force = false) {
    const auto planned =
        PlanRename(cluster_, {.operation_id = "move", .id = kId, .node = node, .name = record().name, .force = force});
    ASSERT_TRUE(planned.ok()) << planned.status();
    cluster_.Put(*planned);
  }

  Cluster cluster_ = TwoNodes();
};

TEST_F(PlannerTest, CreateGoesThroughEveryPhaseInOrder) {
  cluster_.Put(Fresh1());
  EXPECT_EQ(Next(), ActionKind::kArrayCreate);
  EXPECT_FALSE(record().operation.done);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kCreated));
  EXPECT_TRUE(record().operation.done);
  EXPECT_EQ(Next(), ActionKind::kArrayGrant);
  EXPECT_EQ(record().placement.epoch, 1U);
  EXPECT_EQ(record().placement.grant.epoch, 1U);
  EXPECT_EQ(record().placement.grant.node, kAlpha);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kGranted));
  EXPECT_EQ(Next(), ActionKind::kAgentAttach);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kFormatted));
  EXPECT_EQ(phase(), Phase::kAttaching);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(phase(), Phase::kAttached);
}

TEST_F(PlannerTest, ActionsAreRepeatedUntilTheirOutcomeIsApplied) {
  cluster_.Put(Fresh1());
  EXPECT_EQ(Next(), ActionKind::kArrayCreate);
  EXPECT_EQ(Next(), ActionKind::kArrayCreate);
}

TEST_F(PlannerTest, AMoveGrantsOnlyAfterReleaseAndRevoke) {
  AttachOnAlpha(cluster_);
  MoveTo(kBeta);
  EXPECT_EQ(Next(), ActionKind::kAgentRelease);
  EXPECT_EQ(record().ShownOn(), kAlpha);
  EXPECT_FALSE(record().operation.done);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kReleased));
  EXPECT_TRUE(record().operation.done);
  EXPECT_EQ(record().ShownOn(), kBeta);
  EXPECT_EQ(Next(), ActionKind::kArrayRevoke);
  EXPECT_EQ(record().placement.grant.node, kAlpha) << "what is revoked is what was granted";
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kRevoked));
  EXPECT_EQ(Next(), ActionKind::kArrayGrant);
  EXPECT_EQ(record().placement.epoch, 2U);
  EXPECT_EQ(record().placement.grant.node, kBeta);
}

TEST_F(PlannerTest, BusyLeavesEverythingAsItWas) {
  AttachOnAlpha(cluster_);
  MoveTo(kBeta);
  Next();
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kBusy, "held by pid 1"));
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(phase(), Phase::kAttached);
  EXPECT_EQ(record().desired.node, kAlpha);
  EXPECT_TRUE(record().operation.done);
  EXPECT_EQ(record().operation.cause, "busy");
  EXPECT_EQ(record().operation.message, "held by pid 1");
}

TEST_F(PlannerTest, ABusyRenameKeepsTheOldName) {
  AttachOnAlpha(cluster_);
  const auto planned = PlanRename(cluster_, {.operation_id = "m", .id = kId, .node = kBeta, .name = "other"});
  ASSERT_TRUE(planned.ok());
  cluster_.Put(*planned);
  EXPECT_EQ(record().name, "db");
  Next();
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kBusy));
  EXPECT_EQ(record().name, "db");
  EXPECT_EQ(cluster_.FindName("other"), nullptr);
  EXPECT_NE(cluster_.FindName("db"), nullptr);
}

TEST_F(PlannerTest, ReportsOfAnOlderEpochAreIgnored) {
  AttachOnAlpha(cluster_);
  for (const OutcomeKind kind : {OutcomeKind::kReleased, OutcomeKind::kBusy, OutcomeKind::kSessionLost,
                                 OutcomeKind::kNotHeld, OutcomeKind::kAttached}) {
    const StepOutcome stale{.kind = kind, .dataset = kId, .epoch = record().placement.epoch - 1};
    EXPECT_FALSE(Apply(record(), stale, SomeFresh()).has_value());
  }
}

TEST_F(PlannerTest, ASilentNodeIsWaitedForAndADownOneFenced) {
  AttachOnAlpha(cluster_);
  cluster_.SetLiveness(kAlpha, Liveness::kSilent);
  MoveTo(kBeta);
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(phase(), Phase::kDetaching);
  cluster_.SetLiveness(kAlpha, Liveness::kDown);
  EXPECT_EQ(Next(), ActionKind::kArrayFence);
  EXPECT_FALSE(record().operation.done);
  EXPECT_EQ(record().placement.grant.node, kAlpha);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kFenced));
  EXPECT_TRUE(record().operation.done);
  EXPECT_EQ(Next(), ActionKind::kArrayGrant);
  EXPECT_EQ(record().placement.grant.node, kBeta);
}

TEST_F(PlannerTest, NothingMovesByItselfWhenANodeIsDown) {
  AttachOnAlpha(cluster_);
  cluster_.SetLiveness(kAlpha, Liveness::kDown);
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(phase(), Phase::kAttached);
}

TEST_F(PlannerTest, AClosedValveStopsFencesUnlessForced) {
  AttachOnAlpha(cluster_);
  MoveTo(kBeta);
  cluster_.SetLiveness(kAlpha, Liveness::kDown);
  cluster_.set_valve_closed(true);
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(phase(), Phase::kDetaching);
  Dataset forced = record();
  forced.desired.force = true;
  cluster_.Put(forced);
  EXPECT_EQ(Next(), ActionKind::kArrayFence);
}

TEST_F(PlannerTest, ALostSessionIsRenewedUnderTheNextEpochAndTheSameMount) {
  AttachOnAlpha(cluster_);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kSessionLost));
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  EXPECT_EQ(record().placement.epoch, 2U);
  EXPECT_EQ(record().placement.mount_epoch, 1U);
  ASSERT_TRUE(record().placement.previous.has_value());
  EXPECT_EQ(record().placement.previous->epoch, 1U);
  EXPECT_FALSE(Tell(cluster_, kId, OutcomeKind::kSessionLost)) << "one renewal at a time";
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kGranted));
  EXPECT_EQ(Next(), ActionKind::kAgentAttach);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  EXPECT_EQ(phase(), Phase::kAttached);
  EXPECT_FALSE(record().placement.previous.has_value());
}

TEST_F(PlannerTest, ALunGrowsBetweenTwoSessionsOfItsNode) {
  AttachOnAlpha(cluster_);
  const uint64_t before = record().size;
  const auto grow = [&](uint64_t size) {
    const auto planned = PlanChange(cluster_, {.operation_id = "g", .id = kId, .size = size});
    ASSERT_TRUE(planned.ok()) << planned.status();
    cluster_.Put(*planned);
  };
  const auto granted = [&](uint64_t lun_size, const std::string& refusal) {
    const auto applied = Apply(record(),
                               {.kind = OutcomeKind::kGranted,
                                .dataset = kId,
                                .epoch = record().placement.epoch,
                                .message = refusal,
                                .lun_size = lun_size},
                               SomeFresh());
    ASSERT_TRUE(applied.has_value());
    cluster_.Put(applied->dataset);
  };
  grow(2 * before);
  cluster_.SetLiveness(kAlpha, Liveness::kSilent);
  EXPECT_TRUE(AtRest()) << "nobody would log in again";
  cluster_.SetLiveness(kAlpha, Liveness::kConnected);
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  EXPECT_EQ(record().placement.epoch, 2U);
  EXPECT_EQ(record().placement.mount_epoch, 1U);
  granted(2 * before, "");
  EXPECT_EQ(record().grows_from, 0U);
  EXPECT_EQ(Next(), ActionKind::kAgentAttach);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached, "the filesystem follows"));
  EXPECT_EQ(record().error, "the filesystem follows");
  EXPECT_FALSE(Tell(cluster_, kId, OutcomeKind::kAttached, "the filesystem follows"));
  EXPECT_TRUE(AtRest());

  // Granted by who had not heard of the wish.
  grow(2 * before + 1);
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  granted(2 * before, "");
  EXPECT_EQ(record().grows_from, 2 * before);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  granted(2 * before + kMiB, "");
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));

  // Asked for more while the array was at it: once more.
  grow(3 * before);
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  grow(4 * before);
  granted(3 * before, "");
  EXPECT_EQ(record().grows_from, 3 * before);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  // The array will not: it stays as it is, and goes on.
  granted(3 * before, "the pool is no place for it");
  EXPECT_EQ(record().size, 3 * before);
  EXPECT_EQ(record().grows_from, 0U);
  EXPECT_EQ(record().error, "the pool is no place for it");
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  EXPECT_TRUE(AtRest());
}

TEST_F(PlannerTest, ARenewalIsFinishedBeforeAReleaseIsAsked) {
  AttachOnAlpha(cluster_);
  MoveTo(kBeta);
  EXPECT_EQ(Next(), ActionKind::kAgentRelease);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kSessionLost));
  EXPECT_EQ(Next(), ActionKind::kArrayRenew);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kGranted));
  EXPECT_EQ(Next(), ActionKind::kAgentAttach);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kAttached));
  EXPECT_EQ(Next(), ActionKind::kAgentRelease);
  EXPECT_EQ(PlanThrough(cluster_, kId)->epoch, 2U);
}

TEST_F(PlannerTest, AReleaseOfANodeThatCannotLogInAgainIsAFence) {
  AttachOnAlpha(cluster_);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kSessionLost));
  Next();
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kGranted));
  cluster_.SetCutOff(kId, true);
  EXPECT_EQ(Next(), ActionKind::kAgentAttach) << "nothing moves by itself";
  MoveTo(kBeta);
  EXPECT_EQ(Next(), ActionKind::kArrayFence);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kFenced));
  EXPECT_EQ(Next(), ActionKind::kArrayGrant);
}

TEST_F(PlannerTest, AnAttachedNodeThatCameBackEmptyIsFencedAndGrantedAnew) {
  AttachOnAlpha(cluster_);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kNotHeld));
  EXPECT_EQ(Next(), ActionKind::kArrayFence);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kFenced));
  EXPECT_EQ(Next(), ActionKind::kArrayGrant);
  EXPECT_EQ(record().placement.mount_epoch, 2U);
}

TEST_F(PlannerTest, ALateGrantAnswerDoesNotReviveAFencedEpoch) {
  AttachOnAlpha(cluster_);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kSessionLost));
  Next();
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kNotHeld));
  EXPECT_EQ(phase(), Phase::kFencing);
  EXPECT_FALSE(Tell(cluster_, kId, OutcomeKind::kGranted));
  EXPECT_TRUE(record().placement.previous.has_value()) << "both grants must be fenced";
}

TEST_F(PlannerTest, AFailedCreateIsUndoneAndLeavesNothing) {
  cluster_.Put(Fresh1());
  Next();
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kCreateFailed, "no room"));
  EXPECT_EQ(record().operation.message, "no room");
  EXPECT_EQ(cluster_.FindName("db"), nullptr);
  EXPECT_EQ(Next(), ActionKind::kArrayDestroy);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kDestroyed));
  EXPECT_EQ(cluster_.Find(kId), nullptr);
  EXPECT_EQ(cluster_.promised(), 0U);
}

TEST_F(PlannerTest, DestroyEndsInTheTrashAndKeepsTheLun) {
  AttachOnAlpha(cluster_);
  const auto planned = PlanDestroy(cluster_, {.operation_id = "d", .id = kId});
  ASSERT_TRUE(planned.ok());
  cluster_.Put(*planned);
  EXPECT_EQ(Next(), ActionKind::kAgentRelease);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kReleased));
  EXPECT_TRUE(record().operation.done);
  EXPECT_EQ(cluster_.FindName("db"), nullptr) << "its name is free again";
  EXPECT_EQ(Next(), ActionKind::kArrayRevoke);
  ASSERT_TRUE(Tell(cluster_, kId, OutcomeKind::kRevoked));
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(phase(), Phase::kTrashed);
}

TEST_F(PlannerTest, OutcomesOfOtherPhasesChangeNothing) {
  AttachOnAlpha(cluster_);
  for (const OutcomeKind kind : {OutcomeKind::kCreated, OutcomeKind::kCreateFailed, OutcomeKind::kGranted,
                                 OutcomeKind::kRevoked, OutcomeKind::kFenced, OutcomeKind::kDestroyed,
                                 OutcomeKind::kBusy, OutcomeKind::kFormatted, OutcomeKind::kAttached}) {
    EXPECT_FALSE(Tell(cluster_, kId, kind)) << static_cast<int>(kind);
  }
}

TEST(NextGrant, NamesItsEpochAndFitsTheProtocol) {
  Dataset dataset = Fresh1();
  dataset.placement.epoch = 41;
  const Grant grant = NextGrant(dataset, kAlpha, SomeFresh());
  EXPECT_EQ(grant.epoch, 42U);
  EXPECT_NE(grant.initiator, NextGrant(dataset, kBeta, SomeFresh()).initiator);
  EXPECT_LE(grant.initiator.size(), 223U);  // RFC 7143 §4.2.7.1
  EXPECT_GE(grant.secret.size(), 12U);      // RFC 7143 §9.2.1: 96 bits
}

}  // namespace
}  // namespace flocker
