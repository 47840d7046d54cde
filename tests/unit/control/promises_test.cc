// Leases, and the wishes of v1 clients: kept, committed, ended in time.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "engine/base/status.h"
#include "tests/unit/control/controller_fixture.h"

namespace flocker {
namespace {

using testing::NodeNumber;
using Promises = testing::ControllerTest;

TEST_F(Promises, LeasesAreCommittedAndEndByTheTimeThatWasCounted) {
  const DatasetId id = AttachOne();
  world_.wall_ms = 1'000'000;
  EXPECT_FALSE(controller_->AcquireLease(id, NodeNumber(1), absl::Seconds(10), now_).value()) << "it is new";
  Flush();
  const std::string saved = world_.batches.back().meta.at("lease/" + id.str());
  EXPECT_TRUE(controller_->AcquireLease(id, NodeNumber(1), absl::Seconds(10), now_).value()) << "it is renewed";
  EXPECT_EQ(CauseOf(controller_->AcquireLease(id, NodeNumber(2), std::nullopt, now_).status()), Cause::kExists);
  Move("m", id, 2, 7);
  EXPECT_EQ(CauseOfReply(7), "busy");
  world_.wall_ms += 3'600'000;  // somebody set the clock
  for (int i = 0; i < 9; ++i) Advance(absl::Seconds(1)), Beat(1), Beat(2);
  EXPECT_NE(controller_->cluster().LeaseOf(id), nullptr);
  EXPECT_LE(controller_->NextTick(), now_ + absl::Seconds(1));
  Advance(absl::Seconds(1));
  EXPECT_EQ(controller_->cluster().LeaseOf(id), nullptr);
  EXPECT_EQ(world_.batches.back().meta.at("lease/" + id.str()), "");
  // Across a restart the time of day has to do.
  world_.wall_ms = 1'004'000;
  Restart({.meta = {{"lease/" + id.str(), saved}}});
  EXPECT_EQ(controller_->LeaseEnd(id), now_ + absl::Seconds(6));
  EXPECT_EQ(controller_->ReleaseLease(id)->node, NodeNumber(1));
  EXPECT_EQ(CauseOf(controller_->ReleaseLease(id).status()), Cause::kNotFound);
}

TEST_F(Promises, AWishIsCommittedAndTriedAtOnce) {
  const DatasetId id = AttachOne();
  ASSERT_TRUE(controller_->OnWish({.dataset = id, .node = NodeNumber(2)}, now_).ok());
  Flush();
  EXPECT_FALSE(world_.batches.back().meta.at("wish/" + id.str()).empty());
  EXPECT_EQ(PhaseOf(id), Phase::kDetaching);
  Tell(1, id, 1, rpc::Report::RELEASED);
  Advance(absl::Seconds(1));
  EXPECT_EQ(controller_->WishOf(id), nullptr) << "it is so";
  EXPECT_EQ(world_.batches.back().meta.at("wish/" + id.str()), "");
}

TEST_F(Promises, AWishIsTriedUntilTheLeaseGoes) {
  const DatasetId id = AttachOne();
  ASSERT_TRUE(controller_->AcquireLease(id, NodeNumber(1), std::nullopt, now_).ok());
  ASSERT_TRUE(controller_->OnWish({.dataset = id}, now_).ok());
  Flush();
  for (int i = 0; i < 5; ++i) Advance(absl::Seconds(1)), Beat(1), Beat(2);
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
  ASSERT_TRUE(controller_->ReleaseLease(id).ok());
  Advance(absl::Seconds(1));
  EXPECT_EQ(PhaseOf(id), Phase::kDetaching);
}

TEST_F(Promises, AWishThatStaysBusyIsGivenUpAndSaysWhy) {
  const DatasetId id = AttachOne();
  ASSERT_TRUE(controller_->OnWish({.dataset = id, .node = NodeNumber(2)}, now_).ok());
  Flush();
  int attempts = 0;
  for (int second = 0; second < 150 && controller_->WishOf(id) != nullptr; ++second) {
    if (PhaseOf(id) == Phase::kDetaching) {
      ++attempts;
      Tell(1, id, 1, rpc::Report::BUSY);
    }
    Advance(absl::Seconds(1));
    Beat(1);
    Beat(2);
  }
  EXPECT_EQ(controller_->WishOf(id), nullptr);
  EXPECT_GT(attempts, 5);
  EXPECT_LT(attempts, 30) << "each one stops new opens for a moment";
  EXPECT_EQ(controller_->Why("db")->cause, "busy");
  EXPECT_EQ(controller_->Why("db")->message.substr(0, 13), "move given up");
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
}

TEST_F(Promises, AnotherClientsOperationTakesTheWishesPlace) {
  const DatasetId id = AttachOne();
  ASSERT_TRUE(controller_->OnWish({.dataset = id, .node = NodeNumber(9)}, now_).ok());
  Flush();
  Move("renames", id, 1, 6);
  EXPECT_EQ(CauseOfReply(6), "ok");
  EXPECT_NE(controller_->WishOf(id), nullptr) << "that says nothing of its place";
  Move("moves", id, 2, 7);
  EXPECT_EQ(controller_->WishOf(id), nullptr);
}

TEST_F(Promises, AWishOutlivesARestartForWhatIsLeftOfItsTime) {
  const DatasetId id = AttachOne();
  world_.wall_ms = 1'000'000;
  ASSERT_TRUE(controller_->OnWish({.dataset = id, .node = NodeNumber(9)}, now_).ok());
  Flush();
  const Snapshot snapshot{.datasets = {*controller_->cluster().Find(id)},
                          .nodes = {*controller_->cluster().FindNode(NodeNumber(1))},
                          .meta = {{"wish/" + id.str(), world_.batches.back().meta.at("wish/" + id.str())}}};
  world_.wall_ms += 100'000;
  Restart(snapshot);
  Advance(absl::Seconds(19));
  EXPECT_NE(controller_->WishOf(id), nullptr);
  Advance(absl::Seconds(2));
  EXPECT_EQ(controller_->WishOf(id), nullptr);
}

TEST_F(Promises, ACreateOnAConditionIsLookedAtWhenItIsExecuted) {
  Hello(1, 1, "alpha");
  const auto ask = [&](const std::string& operation, uint64_t call) {
    rpc::OperationRequest request;
    request.set_id(operation);
    request.mutable_create()->set_node_id(NodeNumber(1).str());
    request.mutable_create()->set_v1(true);
    request.mutable_create()->set_dataset_id(testing::DatasetNumber(static_cast<int>(call)).str());
    controller_->OnOperation(request, {.session = 0, .call = call}, now_, [this] {
      return controller_->cluster().datasets().empty() ? absl::OkStatus() : Refuse(Cause::kExists, "one is enough");
    });
  };
  ask("one", 1);  // both wait until the array tells its space
  ask("two", 2);
  controller_->OnCapacity(PoolCapacity{.total = uint64_t{1} << 40, .free = uint64_t{1} << 40}, now_);
  Flush();
  EXPECT_EQ(CauseOfReply(2), "exists");
  ArrayDone(OutcomeKind::kCreated);
  EXPECT_EQ(CauseOfReply(1), "ok");
  EXPECT_EQ(controller_->AskedSizeOf(testing::DatasetNumber(1)), 0U) << "none was given";
  EXPECT_EQ(controller_->AskedSizeOf(testing::DatasetNumber(2)), std::nullopt);
}

}  // namespace
}  // namespace flocker
