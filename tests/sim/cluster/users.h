// What people ask of the cluster, through trees (an agent) and flockerctl (a call), and what they were answered.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control_host.h"
#include "sim.h"
#include "sim_agent.h"

namespace flocker::sim {

// One machine of the cluster with what runs on it.
struct SimNode {
  SimNode(Sim& sim, SimArray& array, Place place, const NodeId& id, const std::string& name)
      : machine(sim, array, place, id, name) {}
  Machine machine;
  std::unique_ptr<SimAgent> agent;  // null while it is not running
};

class Users {
 public:
  Users(Sim& sim, ControlHost& control, std::vector<std::unique_ptr<SimNode>>& nodes)
      : sim_(sim), control_(control), nodes_(nodes) {}

  // Asks something now, anything.
  void Ask();
  // Leases a dataset, or wishes it elsewhere, as a v1 client does.
  void AskForPromise();
  // Somebody opens a file in a mounted dataset, or everybody closes theirs.
  void Hold();
  void LetGoAll();

 private:
  rpc::OperationRequest Compose();
  void ComposeForTrash(const Dataset& dataset, rpc::OperationRequest& request);
  void ThroughTree(const rpc::OperationRequest& request);
  void ThroughCall(const rpc::OperationRequest& request);
  void Answered(const rpc::OperationRequest& request, const rpc::OperationReply& reply);

  Sim& sim_;
  ControlHost& control_;
  std::vector<std::unique_ptr<SimNode>>& nodes_;
  std::map<std::string, int> asked_;  // how often, by operation id
  std::set<std::string> answered_;
  uint64_t last_operation_ = 0;
};

}  // namespace flocker::sim
