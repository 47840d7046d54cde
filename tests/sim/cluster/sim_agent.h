// One run of an agent on a simulated machine: its stream to control (engine/agent/control_link.cc) and its holdings
// (engine/agent/agent.cc), driven by events instead of threads. Change both together.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control_host.h"
#include "machine.h"
#include "sim.h"
#include "sim_holding.h"
#include "stream.h"

namespace flocker::sim {

class SimAgent {
 public:
  using Answer = std::function<void(const rpc::OperationReply&)>;

  SimAgent(Sim& sim, Machine& machine, ControlHost& control);
  ~SimAgent();
  SimAgent(const SimAgent&) = delete;
  SimAgent& operator=(const SimAgent&) = delete;

  // False when control cannot be reached. Else it is sent again on a new stream until its answer came.
  bool Execute(const rpc::OperationRequest& request, Answer answer);
  bool reachable() const { return reachable_; }
  const std::map<MountKey, std::unique_ptr<SimHolding>>& holdings() const { return holdings_; }
  // The datasets as control's view told them.
  const std::map<std::string, rpc::DatasetView>& view() const { return view_; }
  uint64_t view_version() const { return view_version_; }

 private:
  struct Pending {
    rpc::OperationRequest request;
    Answer answer;
    absl::Duration since;
  };
  void Connect();
  void Connected(const std::shared_ptr<Stream>& stream);
  void Disconnect();
  void Reconnect();
  void Beat();
  void Send(const rpc::AgentUp& message);
  void OnControl(const rpc::AgentDown& message);
  void OnWelcome();
  void OnAttach(const rpc::Attach& attach);
  void OnRelease(const rpc::Release& release);
  void OnView(const rpc::ViewDelta& delta);
  void OnReply(const rpc::OperationReply& reply);
  void TellOfNothing(const std::string& dataset_id, uint64_t epoch, rpc::Report::Kind kind);
  rpc::AgentHello Hello();
  std::vector<SimHolding*> HoldingsOf(const DatasetId& id);
  SimHolding::Context Context();

  Sim& sim_;
  Machine& machine_;
  ControlHost& control_;
  std::map<MountKey, std::unique_ptr<SimHolding>> holdings_;
  std::vector<std::unique_ptr<SimHolding>> finished_;
  std::map<DatasetId, uint64_t> spent_;  // the last mount epoch let go of, on the present stream
  std::shared_ptr<Stream> stream_;
  bool reachable_ = false;
  absl::Duration heard_;
  absl::Duration pause_ = absl::Milliseconds(100);
  std::map<std::string, Pending> pending_;
  std::map<std::string, rpc::DatasetView> view_;
  uint64_t view_version_ = 0;
  Life life_;    // of the agent
  Life linked_;  // of the present stream
};

}  // namespace flocker::sim
