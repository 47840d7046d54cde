// The simulated machine of control: its disk, its runs, and in each run the real Controller, driven as
// engine/control/runner.cc drives it, with the real translation of actions into array calls.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/control/controller.h"
#include "sim.h"
#include "sim_array.h"
#include "stream.h"

namespace flocker::sim {

class ControlHost final : public World {
 public:
  ControlHost(Sim& sim, SimArray& array);

  void Start();
  void Crash();
  bool running() const { return controller_ != nullptr; }
  // At its next commit but `commits`: before it is durable, or after it and `effects` of what it lets out.
  void CrashAtCommit(int commits, bool durable, int effects);

  // Null when nobody listens.
  std::shared_ptr<Stream> Accept(Place node);
  // A call of a client's; `answer` never comes when control dies first.
  void Call(const rpc::OperationRequest& request, std::function<void(const rpc::OperationReply&)> answer);
  // What a client of the REST API asks, whose answer nobody waits for.
  void Change(std::function<void(Controller&, absl::Duration now)> change) { Post(std::move(change)); }
  void BreakStreams(Place node);

  const Controller* controller() const { return controller_.get(); }

  // World.
  absl::Status Commit(const Batch& batch) override;
  using World::SendToAgent;
  void SendToAgent(SessionId session, const rpc::AgentDown& message) override;
  void CloseSession(SessionId session) override;
  void StartArrayAction(const Action& action, const Dataset& dataset) override;
  void WriteRecord(const Dataset& dataset) override;
  void RequestCapacity() override;
  void RequestArrayList() override;
  void CutOffStray(const DatasetId& dataset, const std::string& initiator) override;
  absl::Status CheckRoom() override { return absl::OkStatus(); }
  void Reply(uint64_t call, const rpc::OperationReply& reply) override;
  std::string RandomHex(size_t bytes) override { return sim_.random.Hex(bytes); }
  int64_t WallClockMs() override { return absl::ToInt64Milliseconds(sim_.clock.now()); }

 private:
  using Task = std::function<void(Controller&, absl::Duration now)>;
  using Job = std::function<void()>;
  struct Client {
    Place node = 0;
    std::shared_ptr<Stream> stream;
  };
  void Post(Task task);
  void Run();
  void SetTimer();
  bool Effect();
  void Enqueue(const DatasetId& id, Job job);
  void RunJob(const DatasetId& id);
  void FinishArrayAction(const Action& action, const Dataset& dataset);

  Sim& sim_;
  SimArray& array_;
  ControllerOptions options_;

  // Of one run.
  Life life_;
  std::unique_ptr<Controller> controller_;
  std::vector<Task> tasks_;
  bool run_pending_ = false;
  absl::Duration timer_ = absl::InfiniteDuration();
  std::map<SessionId, Client> streams_;
  std::map<uint64_t, std::function<void(const rpc::OperationReply&)>> calls_;
  std::map<DatasetId, std::deque<Job>> jobs_;
  bool dying_ = false;
  int commits_left_ = -1;  // until a planned crash; negative: none
  bool crash_durable_ = false;
  int effects_left_ = -1;
  std::vector<Batch> uncommitted_;  // of the bug that commits late

  // Of all runs.
  SessionId last_session_ = 0;
  uint64_t last_call_ = 0;
};

}  // namespace flocker::sim
