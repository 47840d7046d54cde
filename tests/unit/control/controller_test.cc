#include "engine/control/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/codec.h"
#include "tests/unit/control/controller_fixture.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using testing::ControllerTest;
using testing::NodeNumber;

TEST_F(ControllerTest, ACreateIsAnsweredWhenItsLunExists) {
  Hello(1, 1, "alpha");
  Create("op", "db", 1, {.session = 0, .call = 9});
  EXPECT_EQ(CauseOfReply(9), "none");
  ArrayDone(OutcomeKind::kCreated);
  EXPECT_EQ(CauseOfReply(9), "ok");
}

TEST_F(ControllerTest, AFailedCreateIsAnsweredAndPurged) {
  Hello(1, 1, "alpha");
  Create("op", "db", 1, {.session = 0, .call = 9});
  ArrayDone(OutcomeKind::kCreateFailed);
  EXPECT_NE(CauseOfReply(9), "ok");
  EXPECT_EQ(world_.actions.back().kind, ActionKind::kArrayDestroy);
  ArrayDone(OutcomeKind::kDestroyed);
  EXPECT_TRUE(controller_->cluster().datasets().empty());
  EXPECT_EQ(world_.batches.back().tombstones.size(), 1U);
}

TEST_F(ControllerTest, APurgeIsAnsweredWhenItsLunIsGoneAndEverAfter) {
  const DatasetId id = AttachOne();
  const auto ask = [&](const std::string& operation, uint64_t call) {
    rpc::OperationRequest request;
    request.set_id(operation);
    if (operation == "destroy") {
      request.mutable_destroy()->set_dataset_id(id.str());
    } else {
      request.mutable_purge()->set_dataset_id(id.str());
    }
    controller_->OnOperation(request, {.session = 0, .call = call}, now_);
    Flush();
  };
  ask("too-early", 6);
  EXPECT_EQ(CauseOfReply(6), "invalid");
  ask("destroy", 7);
  Tell(1, id, 1, rpc::Report::RELEASED);
  ArrayDone(OutcomeKind::kRevoked);
  ASSERT_EQ(PhaseOf(id), Phase::kTrashed);
  ask("purge", 8);
  EXPECT_EQ(CauseOfReply(8), "none");
  ArrayDone(OutcomeKind::kDestroyed);
  EXPECT_EQ(CauseOfReply(8), "ok");
  ask("purge", 9);  // its first answer got lost
  EXPECT_EQ(CauseOfReply(9), "ok");
}

// Whoever asked for it did not hear the answer, and meanwhile somebody else destroyed and purged it.
TEST_F(ControllerTest, ACreateThatIsAskedAgainAfterAPurgeMakesNothing) {
  Hello(1, 1, "alpha");
  Create("op", "db", 1, {.session = 0, .call = 9});
  ArrayDone(OutcomeKind::kCreateFailed);
  ArrayDone(OutcomeKind::kDestroyed);
  ASSERT_TRUE(controller_->cluster().datasets().empty());
  Create("op", "db", 1, {.session = 0, .call = 10});
  EXPECT_EQ(CauseOfReply(10), "not-found");
  EXPECT_TRUE(controller_->cluster().datasets().empty());
  Create("another", "db", 1, {.session = 0, .call = 11});
  EXPECT_EQ(controller_->cluster().datasets().size(), 1U);
}

TEST_F(ControllerTest, AnAnswerToATreeComesAfterTheNewsItIsAbout) {
  Hello(1, 1, "alpha");
  world_.sent.clear();
  Create("op", "db", 1, {.session = 1});
  ArrayDone(OutcomeKind::kCreated);
  int view_at = -1;
  int reply_at = -1;
  for (size_t i = 0; i < world_.sent.size(); ++i) {
    const rpc::AgentDown& message = world_.sent[i].second;
    if (message.has_view() && message.view().datasets_size() > 0 &&
        message.view().datasets(0).phase() != "provisioning") {
      view_at = static_cast<int>(i);
    }
    if (message.has_reply()) reply_at = static_cast<int>(i);
  }
  ASSERT_GE(view_at, 0);
  EXPECT_GT(reply_at, view_at);
}

TEST_F(ControllerTest, SecondAgentsOfAKnownNameOrIdAreRefused) {
  Hello(1, 1, "alpha");
  Hello(2, 2, "alpha");
  EXPECT_EQ(Count(2, rpc::AgentDown::kRefused), 1);
  Hello(3, 1, "alpha");
  EXPECT_EQ(Count(3, rpc::AgentDown::kRefused), 1);
  Hello(4, 1, "other");
  EXPECT_EQ(Count(4, rpc::AgentDown::kRefused), 1);
  EXPECT_EQ(world_.closed, (std::vector<SessionId>{2, 3, 4}));
  Hello(5, 2, "beta");
  EXPECT_EQ(Count(5, rpc::AgentDown::kWelcome), 1);
}

TEST_F(ControllerTest, AMoveIsAnsweredOnReleaseAndGoesOnByItself) {
  const DatasetId id = AttachOne();
  Move("m", id, 2, 7);
  EXPECT_EQ(Count(1, rpc::AgentDown::kRelease), 1);
  EXPECT_EQ(CauseOfReply(7), "none");
  Tell(1, id, 1, rpc::Report::RELEASED);
  EXPECT_EQ(CauseOfReply(7), "ok");
  EXPECT_EQ(world_.actions.back().kind, ActionKind::kArrayRevoke);
  ArrayDone(OutcomeKind::kRevoked);
  ArrayDone(OutcomeKind::kGranted);
  EXPECT_EQ(Count(2, rpc::AgentDown::kAttach), 1);
}

TEST_F(ControllerTest, AMoveIsAnsweredOnceTheDestinationShowsIt) {
  silent_ = {2};
  const DatasetId id = AttachOne();
  Move("m", id, 2, 7);
  world_.sent.clear();
  Tell(1, id, 1, rpc::Report::RELEASED);
  EXPECT_EQ(Count(2, rpc::AgentDown::kView), 1) << "the destination is told at once";
  EXPECT_EQ(CauseOfReply(7), "none");
  Beat(2, 1);
  EXPECT_EQ(CauseOfReply(7), "none") << "it shows something older";
  Beat(2, world_.sent.back().second.view().to());
  EXPECT_EQ(CauseOfReply(7), "ok");
}

TEST_F(ControllerTest, ADestinationThatHangsOrGoesAwayKeepsNoAnswerBack) {
  silent_ = {2};
  const DatasetId id = AttachOne();
  Move("m", id, 2, 7);
  Tell(1, id, 1, rpc::Report::RELEASED);
  Advance(absl::Seconds(2));
  EXPECT_EQ(CauseOfReply(7), "ok");
}

TEST_F(ControllerTest, WhomNoAnswerWaitsForHearsOfManyChangesAtOnce) {
  Hello(3, 3, "gamma");
  const DatasetId id = AttachOne();
  Advance(Sessions::kCoalesce);
  world_.sent.clear();
  world_.events_told = 0;
  Move("m", id, 2, 7);
  Tell(1, id, 1, rpc::Report::RELEASED);
  ArrayDone(OutcomeKind::kRevoked);
  ArrayDone(OutcomeKind::kGranted);
  EXPECT_EQ(Count(3, rpc::AgentDown::kView), 0);
  EXPECT_EQ(world_.events_told, 0);
  EXPECT_EQ(controller_->NextTick(), now_ + Sessions::kCoalesce);
  Advance(Sessions::kCoalesce);
  EXPECT_EQ(Count(3, rpc::AgentDown::kView), 1);
  EXPECT_EQ(world_.events_told, 1);
  Advance(Sessions::kCoalesce);
  EXPECT_EQ(Count(3, rpc::AgentDown::kView), 1) << "nothing changed";
}

TEST_F(ControllerTest, BusyIsAnsweredRememberedAndExplained) {
  const DatasetId id = AttachOne();
  Move("m", id, 2, 7);
  Tell(1, id, 1, rpc::Report::BUSY);
  EXPECT_EQ(CauseOfReply(7), "busy");
  const auto why = controller_->Why("db");
  ASSERT_TRUE(why.ok());
  EXPECT_EQ(why->cause, "busy");
  EXPECT_TRUE(controller_->Why(id.Short()).ok());
}

TEST_F(ControllerTest, AnOperationThatTakesTooLongSaysThatItGoesOn) {
  const DatasetId id = AttachOne();
  Move("m", id, 2, 7);
  for (int i = 0; i < 11; ++i) {
    Beat(1);
    Beat(2);
    Advance(absl::Seconds(1));
  }
  EXPECT_EQ(CauseOfReply(7), "in-progress");
  Tell(1, id, 1, rpc::Report::RELEASED);
  EXPECT_EQ(PhaseOf(id), Phase::kRevoking);
}

TEST_F(ControllerTest, AskedAgainAfterARestartTheOperationIsNotExecutedTwice) {
  const DatasetId id = AttachOne();
  Move("m", id, 2, 7);
  Tell(1, id, 1, rpc::Report::BUSY);
  Snapshot snapshot;
  for (const auto& [key, dataset] : world_.committed) snapshot.datasets.push_back(dataset);
  for (const Batch& batch : world_.batches) {
    snapshot.nodes.insert(snapshot.nodes.end(), batch.put_nodes.begin(), batch.put_nodes.end());
  }
  Restart(snapshot);
  Move("m", id, 2, 8);
  EXPECT_EQ(CauseOfReply(8), "busy");
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
}

TEST_F(ControllerTest, AskedAgainAfterOthersTheOperationIsNotExecutedTwice) {
  const DatasetId id = AttachOne();
  Move("there", id, 2, 7);
  Tell(1, id, 1, rpc::Report::RELEASED);
  Move("back", id, 1, 8);
  const std::optional<NodeId> node = controller_->cluster().Find(id)->desired.node;
  Move("there", id, 2, 9);
  EXPECT_EQ(CauseOfReply(9), "ok") << "it was done";
  EXPECT_EQ(controller_->cluster().Find(id)->desired.node, node) << "and is not done again";
}

TEST_F(ControllerTest, ACreateAskedAgainIsAnsweredAlsoWhileTheArrayIsAway) {
  AttachOne();
  Advance(absl::Seconds(2));
  rpc::OperationRequest again;
  again.set_id("op-create");
  again.mutable_create()->set_node_id(NodeNumber(1).str());
  again.mutable_create()->set_name("db");
  controller_->OnOperation(again, {.session = 0, .call = 11}, now_);
  controller_->OnCapacity(absl::UnavailableError("array away"), now_);
  Flush();
  EXPECT_EQ(CauseOfReply(11), "ok");
}

TEST_F(ControllerTest, ASilentNodeCountsAsDownAfterTheTimeoutAndIsFencedOnlyOnAMove) {
  const DatasetId id = AttachOne();
  silent_ = {1};
  for (int i = 0; i < 6; ++i) {
    Advance(absl::Seconds(1));
    Beat(2);
  }
  EXPECT_EQ(controller_->cluster().LivenessOf(NodeNumber(1)), Liveness::kDown);
  EXPECT_EQ(controller_->cluster().LivenessOf(NodeNumber(2)), Liveness::kConnected);
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
  Move("m", id, 2, 7);
  EXPECT_EQ(world_.actions.back().kind, ActionKind::kArrayFence);
  EXPECT_EQ(CauseOfReply(7), "none");
  ArrayDone(OutcomeKind::kFenced);
  EXPECT_EQ(CauseOfReply(7), "ok");
}

TEST_F(ControllerTest, TheTimeOfDayDecidesNothing) {
  const DatasetId id = AttachOne();
  for (const int64_t jump : {int64_t{1} << 40, int64_t{0}, -(int64_t{1} << 40)}) {
    world_.wall_ms = jump;
    Advance(absl::Seconds(1));
    Beat(1);
    Beat(2);
    EXPECT_EQ(controller_->cluster().LivenessOf(NodeNumber(1)), Liveness::kConnected);
    EXPECT_EQ(PhaseOf(id), Phase::kAttached);
  }
  Move("m", id, 2, 7);
  world_.wall_ms = int64_t{1} << 41;
  Advance(absl::Seconds(1));
  EXPECT_EQ(CauseOfReply(7), "none") << "its time is not over";
}

TEST_F(ControllerTest, WithoutRoomNothingNewBegins) {
  const DatasetId id = AttachOne();
  world_.room = Refuse(Cause::kNoSpace, "control's disk is full");
  Move("m", id, 2, 7);
  EXPECT_EQ(CauseOfReply(7), "no-space");
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
  world_.room = absl::OkStatus();
  Move("m2", id, 2, 8);
  EXPECT_EQ(PhaseOf(id), Phase::kDetaching);
}

class ControllerReconciles : public ControllerTest {
 protected:
  ArrayEntry EntryOf(const DatasetId& id) {
    const Dataset& dataset = *controller_->cluster().Find(id);
    return {.id = id, .size = dataset.size, .exported = true, .allowed = {dataset.placement.grant.initiator}};
  }
  void List(const std::vector<ArrayEntry>& entries) {
    controller_->OnArrayList(entries, now_);
    Flush();
  }
};

TEST_F(ControllerReconciles, WhatAgreesWithTheRecordsIsLeftAlone) {
  const DatasetId id = AttachOne();
  List({EntryOf(id)});
  EXPECT_TRUE(world_.strays.empty());
  EXPECT_EQ(controller_->strays(), 0u);
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
}

TEST_F(ControllerReconciles, ARecordBesideItsLunThatSaysSomethingElseIsWrittenAnew) {
  const DatasetId id = AttachOne();
  const auto written = [&](const std::string& record) {
    world_.written.clear();
    ArrayEntry entry = EntryOf(id);
    entry.record = record;
    List({entry});
    return world_.written.size();
  };
  const std::string right = ToJson(*controller_->cluster().Find(id), Secrets::kOmit);
  EXPECT_EQ(written("{}"), 1U);
  EXPECT_EQ(written(right), 0U);
  EXPECT_EQ(written(right), 0U);
  EXPECT_EQ(written("{}"), 1U) << "it was right a moment ago";
  EXPECT_EQ(written(right), 0U);
  rpc::OperationRequest label;
  label.set_id("label");
  label.mutable_change()->set_dataset_id(id.str());
  (*label.mutable_change()->mutable_metadata())["owner"] = "me";
  controller_->OnOperation(label, {.session = 0, .call = 8}, now_);
  Flush();
  EXPECT_EQ(written(right), 1U) << "it was right before the label";
}

TEST_F(ControllerReconciles, StraysAreCutOffAndCounted) {
  const DatasetId id = AttachOne();
  ArrayEntry entry = EntryOf(id);
  entry.sessions.push_back({"iqn.x:intruder", 1});
  const DatasetId unknown = *DatasetId::Parse("5caff01d-0000-4000-8000-000000000001");
  List({entry, {.id = unknown, .size = 4096, .exported = true}});
  EXPECT_THAT(world_.strays, ::testing::UnorderedElementsAre(std::pair(id, std::string("iqn.x:intruder")),
                                                             std::pair(unknown, std::string())));
  EXPECT_EQ(controller_->strays(), 2u);
  EXPECT_EQ(controller_->array_looks(), 1u);
  // One that could not be cut off is cut off again, and is the same one.
  world_.strays.clear();
  Advance(absl::Minutes(1));
  List({entry});
  EXPECT_THAT(world_.strays, ::testing::ElementsAre(std::pair(id, std::string("iqn.x:intruder"))));
  EXPECT_EQ(controller_->strays(), 2u);
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
}

TEST_F(ControllerReconciles, ALostExportIsGrantedAnew) {
  const DatasetId id = AttachOne();
  ArrayEntry entry = EntryOf(id);
  entry.exported = false;
  entry.allowed.clear();
  List({entry});
  EXPECT_EQ(PhaseOf(id), Phase::kRenewing);
  EXPECT_EQ(world_.actions.back().kind, ActionKind::kArrayRenew);
}

TEST_F(ControllerReconciles, WhatTheArrayIsBeingToldMeanwhileIsNotJudged) {
  const DatasetId id = AttachOne();
  ASSERT_NO_FATAL_FAILURE(List({EntryOf(id)}));
  const ArrayEntry before = EntryOf(id);
  const int asked = world_.list_requests;
  const auto advance = [&](const std::vector<SessionId>& beating) {
    Advance(absl::Seconds(2));
    for (const SessionId session : beating) Beat(session);
  };
  for (int i = 0; i < 40 && world_.list_requests == asked; ++i) advance({1, 2});
  ASSERT_GT(world_.list_requests, asked);
  silent_ = {1};
  for (int i = 0; i < 3; ++i) advance({2});
  Move("m", id, 2, 7);  // its node counts as down by now: it is fenced
  ASSERT_EQ(world_.actions.back().kind, ActionKind::kArrayFence);
  ArrayDone(OutcomeKind::kFenced);
  List({before});  // looked at before the fence
  EXPECT_TRUE(world_.strays.empty());
}

TEST_F(ControllerReconciles, AgentsHearWhatADatasetUsesAndWhatThePoolHasLeft) {
  const DatasetId id = AttachOne();
  const int asked = world_.capacity_requests;
  ArrayEntry entry = EntryOf(id);
  entry.used = 5 << 20;
  world_.sent.clear();
  for (int i = 0; i < 6; ++i) {
    Advance(absl::Seconds(2));
    Beat(1);
    Beat(2);
  }
  EXPECT_GT(world_.capacity_requests, asked) << "nobody looks at the pool";
  controller_->OnCapacity(PoolCapacity{.total = 1000, .free = 400}, now_);
  List({entry});
  Beat(1);
  std::optional<rpc::PoolView> pool;
  std::optional<uint64_t> used;
  const auto read = [&] {
    for (const auto& [session, message] : world_.sent) {
      if (session != 1 || !message.has_view()) continue;
      if (message.view().has_pool()) pool = message.view().pool();
      for (const rpc::DatasetView& view : message.view().datasets()) used = view.used();
    }
  };
  Advance(Sessions::kCoalesce);
  read();
  ASSERT_TRUE(pool && used);
  EXPECT_EQ(pool->size(), 1000U);
  EXPECT_EQ(pool->free(), 400U);
  EXPECT_EQ(pool->trash(), 0U);
  EXPECT_EQ(*used, uint64_t{5} << 20);

  // In the trash it still takes what it takes.
  Dataset trashed = *controller_->cluster().Find(id);
  Snapshot snapshot;
  trashed.placement.phase = Phase::kTrashed;
  trashed.placement.node.reset();
  trashed.desired = {.deleted = true};
  snapshot.datasets = {trashed};
  Restart(snapshot);
  world_.sent.clear();
  shown_ = 0;
  Hello(1, 1, "alpha");
  controller_->OnCapacity(PoolCapacity{.total = 1000, .free = 400}, now_);
  List({entry});
  Advance(Sessions::kCoalesce);
  read();
  EXPECT_EQ(pool->trash(), uint64_t{5} << 20);
}

TEST_F(ControllerTest, AfterAStartNobodyIsDownBeforeTwiceTheTimeout) {
  Snapshot snapshot;
  snapshot.nodes = {{.id = NodeNumber(1), .name = "alpha"}};
  Restart(snapshot);
  Advance(absl::Seconds(9));
  EXPECT_EQ(controller_->cluster().LivenessOf(NodeNumber(1)), Liveness::kSilent);
  Advance(absl::Seconds(2));
  EXPECT_EQ(controller_->cluster().LivenessOf(NodeNumber(1)), Liveness::kDown);
}

TEST_F(ControllerTest, WhatANodeHoldsWithoutRightIsDropped) {
  const DatasetId id = AttachOne();
  controller_->OnAgentGone(2, now_);
  rpc::Held stray;
  stray.set_dataset_id(id.str());
  stray.set_epoch(1);
  stray.set_mount_epoch(1);
  Hello(3, 2, "beta", {stray});
  EXPECT_EQ(Count(3, rpc::AgentDown::kDrop), 1);
}

TEST_F(ControllerTest, ANodeThatComesBackEmptyIsFencedAndGrantedAnew) {
  const DatasetId id = AttachOne();
  controller_->OnAgentGone(1, now_);
  Hello(3, 1, "alpha");
  EXPECT_EQ(PhaseOf(id), Phase::kFencing);
  ArrayDone(OutcomeKind::kFenced);
  EXPECT_EQ(PhaseOf(id), Phase::kGranting);
}

TEST_F(ControllerTest, ANodeThatComesBackEmptyInTheMiddleOfAnAttachIsFencedToo) {
  Hello(1, 1, "alpha");
  Create("op", "db", 1, {.session = 0, .call = 5});
  ArrayDone(OutcomeKind::kCreated);
  ArrayDone(OutcomeKind::kGranted);
  const DatasetId id = controller_->cluster().FindName("db")->id;
  ASSERT_EQ(PhaseOf(id), Phase::kAttaching);
  controller_->OnAgentGone(1, now_);
  Hello(2, 1, "alpha");
  EXPECT_EQ(PhaseOf(id), Phase::kFencing) << "a session from before may be alive, with writes under way";
  ArrayDone(OutcomeKind::kFenced);
  EXPECT_EQ(controller_->cluster().Find(id)->placement.epoch, 2U);
}

TEST_F(ControllerTest, TheLossOfAMountCountsAlsoUnderTheEpochBeforeARenewal) {
  const DatasetId id = AttachOne();
  Tell(1, id, 1, rpc::Report::SESSION_LOST);
  ASSERT_EQ(PhaseOf(id), Phase::kRenewing);
  Tell(1, id, 1, rpc::Report::NOT_HELD);
  EXPECT_EQ(PhaseOf(id), Phase::kFencing);
}

TEST_F(ControllerTest, AStepThatCannotBeTriedAgainWakesNobody) {
  Hello(1, 1, "alpha");
  Create("op", "db", 1, {.session = 0, .call = 5});
  ArrayDone(OutcomeKind::kCreated);
  ArrayDone(OutcomeKind::kGranted);
  const DatasetId id = controller_->cluster().FindName("db")->id;
  Tell(1, id, 1, rpc::Report::FAILED);
  controller_->OnAgentGone(1, now_);
  Advance(absl::Seconds(1));
  EXPECT_GT(controller_->NextTick(), now_) << "the runner would spin";
}

TEST_F(ControllerTest, ARestartedArrayRenewsEverythingHeld) {
  const DatasetId id = AttachOne();
  controller_->OnArrayRestart(now_);
  Flush();
  EXPECT_EQ(PhaseOf(id), Phase::kRenewing);
  EXPECT_EQ(world_.actions.back().kind, ActionKind::kArrayRenew);
}

TEST_F(ControllerTest, AFailedArrayCallIsRepeatedAfterAPause) {
  const DatasetId id = AttachOne();
  controller_->OnArrayRestart(now_);
  Flush();
  const size_t before = world_.actions.size();
  ArrayDone(OutcomeKind::kFailed);
  EXPECT_EQ(world_.actions.size(), before);
  EXPECT_EQ(controller_->cluster().Find(id)->error, "array says no");
  Advance(absl::Milliseconds(150));
  EXPECT_EQ(world_.actions.size(), before + 1);
}

TEST_F(ControllerTest, NothingHappensWhenTheCommitFails) {
  Hello(1, 1, "alpha");
  world_.fail_commits = true;
  const size_t actions = world_.actions.size();
  rpc::OperationRequest request;
  request.set_id("op");
  request.mutable_create()->set_node_id(NodeNumber(1).str());
  request.mutable_create()->set_name("db");
  controller_->OnOperation(request, {.session = 0, .call = 9}, now_);
  controller_->OnCapacity(PoolCapacity{.total = uint64_t{1} << 40, .free = uint64_t{1} << 40}, now_);
  EXPECT_FALSE(controller_->Flush(now_).ok());
  EXPECT_EQ(world_.actions.size(), actions);
  EXPECT_TRUE(world_.replies.empty());
}

TEST_F(ControllerTest, TheValveClosesWhenAThirdOfFourNodesVanishTogether) {
  const DatasetId id = AttachOne();
  silent_ = {1};
  Hello(3, 3, "gamma");
  Hello(4, 4, "delta");
  for (int i = 0; i < 6; ++i) {
    Advance(absl::Seconds(1));
    for (const SessionId session : std::vector<SessionId>{2, 3, 4}) Beat(session);
  }
  EXPECT_FALSE(controller_->cluster().valve_closed()) << "one of four is less than a third";
  controller_->OnAgentGone(3, now_);
  Flush();
  EXPECT_TRUE(controller_->cluster().valve_closed());
  Move("m", id, 2, 7);
  EXPECT_EQ(CauseOfReply(7), "node-down");
  Move("n", id, 2, 8, /*force=*/true);
  EXPECT_EQ(world_.actions.back().kind, ActionKind::kArrayFence);
}

TEST_F(ControllerTest, ACreateIsNotAdmittedBeyondThePool) {
  Hello(1, 1, "alpha");
  rpc::OperationRequest request;
  request.set_id("op");
  request.mutable_create()->set_node_id(NodeNumber(1).str());
  request.mutable_create()->set_name("db");
  controller_->OnOperation(request, {.session = 0, .call = 9}, now_);
  EXPECT_EQ(world_.capacity_requests, 1);
  controller_->OnCapacity(PoolCapacity{.total = uint64_t{1} << 30, .free = uint64_t{1} << 30}, now_);
  Flush();
  EXPECT_EQ(CauseOfReply(9), "no-space");
  EXPECT_TRUE(controller_->cluster().datasets().empty());
  EXPECT_EQ(controller_->Why("db")->cause, "no-space");
}

TEST_F(ControllerTest, AGrowthIsAdmittedByWhatItAddsAndDoneWithANewSession) {
  const DatasetId id = AttachOne();
  const uint64_t before = controller_->cluster().Find(id)->size;
  const auto grow = [&](const std::string& operation, uint64_t size, uint64_t call) {
    Advance(absl::Seconds(2));  // what the array said of its space is old
    rpc::OperationRequest request;
    request.set_id(operation);
    request.mutable_change()->set_dataset_id(id.str());
    request.mutable_change()->set_size(size);
    controller_->OnOperation(request, {.session = 0, .call = call}, now_);
    controller_->OnCapacity(PoolCapacity{.total = before / 4, .free = before / 4}, now_);  // may promise 10 times that
    Flush();
  };
  grow("too-much", 3 * before, 9);
  EXPECT_EQ(CauseOfReply(9), "no-space");
  EXPECT_EQ(controller_->cluster().Find(id)->placement.phase, Phase::kAttached);
  grow("enough", 2 * before, 10);
  EXPECT_EQ(CauseOfReply(10), "ok");
  EXPECT_EQ(controller_->cluster().Find(id)->placement.phase, Phase::kRenewing);
  EXPECT_EQ(controller_->cluster().Find(id)->grows_from, before);
}

}  // namespace
}  // namespace flocker
