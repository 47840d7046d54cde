// What a real flocker-control's controller causes: commits in the store, messages on the agents' streams, calls of the
// array on threads of their own, answers to whoever waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/array/array.h"
#include "engine/control/agent_service.h"
#include "engine/control/array_runner.h"
#include "engine/control/calls.h"
#include "engine/control/controller.h"
#include "engine/control/metrics.h"
#include "engine/control/room.h"
#include "engine/control/runner.h"
#include "engine/store/store.h"

namespace flocker {

class ControlWorld : public World {
 public:
  // All that is referred to must outlive this.
  ControlWorld(Runner& runner, Store& store, Array& array, AgentService& agents, Calls& calls, Room room);

  // Commits are counted there from now on.
  void CountIn(Metrics& metrics) { metrics_ = &metrics; }

  // With what it holds beside the record: keeps its events for TellEvents, and lets go of the oldest in the store.
  absl::Status Commit(const Batch& batch) override;
  void SendToAgent(SessionId session, const rpc::AgentDown& message) override { agents_.Send(session, message); }
  void SendToAgent(SessionId session, const std::shared_ptr<const std::string>& encoded) override {
    agents_.Send(session, encoded);
  }
  void TellEvents() override;
  void CloseSession(SessionId session) override { agents_.Close(session); }
  void StartArrayAction(const Action& action, const Dataset& dataset) override { array_.Start(action, dataset); }
  void WriteRecord(const Dataset& dataset) override { array_.WriteRecord(dataset); }
  void RequestCapacity() override { array_.RequestCapacity(); }
  void RequestArrayList() override { array_.RequestList(); }
  void CutOffStray(const DatasetId& dataset, const std::string& initiator) override {
    array_.CutOffStray(dataset, initiator);
  }
  absl::Status CheckRoom() override { return room_.Check(); }
  void Reply(uint64_t call, const rpc::OperationReply& reply) override { calls_.Reply(call, reply); }
  std::string RandomHex(size_t bytes) override;
  int64_t WallClockMs() override;

 private:
  Store& store_;
  Metrics* metrics_ = nullptr;
  AgentService& agents_;
  Calls& calls_;
  const Room room_;
  std::vector<Event> untold_;  // events that the agents were not told yet
  ArrayRunner array_;
};

}  // namespace flocker
