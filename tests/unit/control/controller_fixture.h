// A controller alone, in a world that records what it causes, and the agents' and the array's side of the talk.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/control/controller.h"
#include "tests/unit/model/fixtures.h"

namespace flocker::testing {

// Records what the controller causes, and whether it was committed first.
class RecordingWorld : public World {
 public:
  absl::Status Commit(const Batch& batch) override {
    if (fail_commits) return absl::ResourceExhaustedError("disk full");
    batches.push_back(batch);
    for (const Dataset& dataset : batch.put) committed[dataset.id] = dataset;
    return absl::OkStatus();
  }
  using World::SendToAgent;
  void SendToAgent(SessionId session, const rpc::AgentDown& message) override { sent.emplace_back(session, message); }
  void TellEvents() override { ++events_told; }
  void CloseSession(SessionId session) override { closed.push_back(session); }
  void StartArrayAction(const Action& action, const Dataset& dataset) override {
    EXPECT_TRUE(committed.contains(dataset.id) && committed[dataset.id] == dataset) << "an action before its commit";
    actions.push_back(action);
  }
  void WriteRecord(const Dataset& dataset) override { written.push_back(dataset.id); }
  void RequestCapacity() override { ++capacity_requests; }
  void RequestArrayList() override { ++list_requests; }
  void CutOffStray(const DatasetId& dataset, const std::string& initiator) override {
    strays.emplace_back(dataset, initiator);
  }
  absl::Status CheckRoom() override { return room; }
  void Reply(uint64_t call, const rpc::OperationReply& reply) override { replies.emplace_back(call, reply); }
  std::string RandomHex(size_t bytes) override {
    std::string hex = std::to_string(++random);
    return std::string(bytes * 2 - hex.size(), '0') + hex;
  }
  int64_t WallClockMs() override { return wall_ms; }

  bool fail_commits = false;
  int events_told = 0;
  int capacity_requests = 0;
  int list_requests = 0;
  absl::Status room;
  int64_t wall_ms = 0;
  std::vector<std::pair<DatasetId, std::string>> strays;
  uint64_t random = 0;
  std::vector<Batch> batches;
  std::map<DatasetId, Dataset> committed;
  std::vector<std::pair<SessionId, rpc::AgentDown>> sent;
  std::vector<SessionId> closed;
  std::vector<Action> actions;
  std::vector<DatasetId> written;  // records beside LUNs
  std::vector<std::pair<uint64_t, rpc::OperationReply>> replies;
};

class ControllerTest : public ::testing::Test {
 protected:
  ControllerTest() { Restart({}); }

  void Restart(const Snapshot& snapshot) {
    controller_ = std::make_unique<Controller>(ControllerOptions{}, snapshot, world_, now_);
  }
  // The agents that show what they are told say so.
  void Flush() {
    ASSERT_TRUE(controller_->Flush(now_).ok());
    const size_t end = world_.sent.size();
    for (shown_ = std::min(shown_, end); shown_ < end; ++shown_) {
      const auto& [session, message] = world_.sent[shown_];
      if (message.has_view() && !silent_.contains(session)) Beat(session, message.view().to());
    }
  }
  void Advance(absl::Duration by) {
    now_ += by;
    controller_->OnTick(now_);
    Flush();
  }
  void Hello(SessionId session, int node, const std::string& name, const std::vector<rpc::Held>& held = {}) {
    rpc::AgentUp up;
    up.mutable_hello()->mutable_node()->set_id(NodeNumber(node).str());
    up.mutable_hello()->mutable_node()->set_name(name);
    for (const rpc::Held& item : held) *up.mutable_hello()->add_held() = item;
    controller_->OnAgentMessage(session, up, now_);
    Flush();
  }
  void Beat(SessionId session, uint64_t shows = 0) {
    rpc::AgentUp up;
    up.mutable_heartbeat()->set_view_version(shows);
    controller_->OnAgentMessage(session, up, now_);
    ASSERT_TRUE(controller_->Flush(now_).ok());
  }
  void Create(const std::string& operation, const std::string& name, int node, ReplyTo to) {
    rpc::OperationRequest request;
    request.set_id(operation);
    request.mutable_create()->set_node_id(NodeNumber(node).str());
    request.mutable_create()->set_name(name);
    request.mutable_create()->set_size(uint64_t{1} << 30);
    controller_->OnOperation(request, to, now_);
    controller_->OnCapacity(PoolCapacity{.total = uint64_t{1} << 40, .free = uint64_t{1} << 40}, now_);
    Flush();
  }
  void ArrayDone(OutcomeKind kind) {
    ASSERT_FALSE(world_.actions.empty());
    const Action action = world_.actions.back();
    StepOutcome outcome{.kind = kind, .dataset = action.dataset, .epoch = action.epoch, .message = "array says no"};
    controller_->OnArrayOutcome(action, outcome, absl::Milliseconds(1), now_);
    Flush();
  }
  void Tell(SessionId session, const DatasetId& id, uint64_t epoch, rpc::Report::Kind kind) {
    rpc::AgentUp up;
    up.mutable_report()->set_dataset_id(id.str());
    up.mutable_report()->set_epoch(epoch);
    up.mutable_report()->set_kind(kind);
    controller_->OnAgentMessage(session, up, now_);
    Flush();
  }
  // "db" attached on node 1, whose agent's session is 1.
  DatasetId AttachOne() {
    Hello(1, 1, "alpha");
    Hello(2, 2, "beta");
    Create("op-create", "db", 1, {.session = 0, .call = 5});
    ArrayDone(OutcomeKind::kCreated);
    ArrayDone(OutcomeKind::kGranted);
    const DatasetId id = controller_->cluster().FindName("db")->id;
    Tell(1, id, 1, rpc::Report::FORMATTED);
    Tell(1, id, 1, rpc::Report::ATTACHED);
    return id;
  }
  void Move(const std::string& operation, const DatasetId& id, int node, uint64_t call, bool force = false) {
    rpc::OperationRequest request;
    request.set_id(operation);
    request.mutable_rename()->set_dataset_id(id.str());
    request.mutable_rename()->set_node_id(NodeNumber(node).str());
    request.mutable_rename()->set_name("db");
    request.mutable_rename()->set_force(force);
    controller_->OnOperation(request, {.session = 0, .call = call}, now_);
    Flush();
  }
  Phase PhaseOf(const DatasetId& id) { return controller_->cluster().Find(id)->placement.phase; }
  std::string CauseOfReply(uint64_t call) {
    for (const auto& [to, reply] : world_.replies) {
      if (to == call) return reply.outcome().cause().empty() ? "ok" : reply.outcome().cause();
    }
    return "none";
  }
  int Count(SessionId session, rpc::AgentDown::KindCase kind) {
    int count = 0;
    for (const auto& [to, message] : world_.sent) count += to == session && message.kind_case() == kind ? 1 : 0;
    return count;
  }

  absl::Duration now_ = absl::Hours(1);
  RecordingWorld world_;
  size_t shown_ = 0;            // of world_.sent
  std::set<SessionId> silent_;  // sessions that say nothing by themselves
  std::unique_ptr<Controller> controller_;
};

}  // namespace flocker::testing
