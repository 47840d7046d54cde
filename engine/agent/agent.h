// One node's agent: its holdings, its tree, its link to control, put together.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/agent/control_link.h"
#include "engine/agent/descriptor_store.h"
#include "engine/agent/holding.h"
#include "engine/agent/journal.h"
#include "engine/agent/node_metrics.h"
#include "engine/agent/node_view.h"
#include "engine/agent/reconciler.h"
#include "engine/agent/tree_process.h"
#include "engine/agent/tree_service.h"
#include "engine/agent/watcher.h"
#include "engine/base/mutex.h"
#include "engine/docker/plugin.h"

namespace flocker {

struct AgentConfig {
  std::string name;
  std::string root = "/var/lib/flocker";  // absolute, without symlinks: loop devices are found by their file's path
  std::string control;                    // address
  Transport transport;                    // to control
  std::string tree = "/flocker";          // mountpoint
  std::string address;                    // of this node, as others may reach it; empty: what it has towards control
  std::string backend;                    // "iscsi", or "loopback" (files of this machine), alone; empty: either
  std::string binaries;                   // directory of flocker-lun and flocker-fs
  absl::Duration reconcile_interval = absl::Minutes(1);
  bool create_on_bind = true;               // dockerd's mkdir for a `-v` makes a dataset
  std::vector<std::string> docker_sockets;  // where Docker's volume plugin listens; none: there is no plugin
  docker::Profiles docker_profiles = docker::DefaultProfiles();
  std::string metrics;  // host:port for monitors; empty: nowhere
};

class Agent {
 public:
  // Takes up what an earlier agent left, then serves until the process ends.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(const AgentConfig& config);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

 private:
  Agent(AgentConfig config, Journal journal);
  absl::Status Open();
  absl::Status StartTreeServer();
  absl::Status StartDockerPlugin(std::map<std::string, unique_fd> inherited);
  docker::Volume ToVolume(const CatalogDataset& dataset) const;
  rpc::AgentHello Hello();
  void OnControl(const rpc::AgentDown& message);
  void OnView(const rpc::ViewDelta& view);
  void OnAttach(const rpc::Attach& attach);
  void OnRelease(const rpc::Release& release);
  // A report about something that has no holding.
  void Answer(const DatasetId& id, uint64_t epoch, rpc::Report::Kind kind, const std::string& message);
  void OnReachable(bool reachable);
  void OnTick();
  void Send(const rpc::AgentUp& message);
  void Forget(const DatasetId& id, uint64_t mount_epoch);
  bool Spent(const DatasetId& id, uint64_t mount_epoch);
  std::vector<std::shared_ptr<Holding>> Holdings();
  std::vector<std::shared_ptr<Holding>> HoldingsOf(const DatasetId& id);
  std::set<AttachmentKey> Keys();
  void TellStrays();
  NodeContext Context();
  NodeFigures Figures();
  std::vector<std::string> WhyNotReady() const;

  const AgentConfig config_;
  Journal journal_;
  DescriptorStore store_;
  Watcher watcher_;
  std::unique_ptr<TreeService> tree_;
  std::unique_ptr<NodeView> view_;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<ControlLink*> link_ = nullptr;
  std::atomic<docker::Plugin*> plugin_ = nullptr;
  std::unique_ptr<NodeMetrics> metrics_;  // null: nobody is served
  std::atomic<uint64_t> strays_ = 0;

  Mutex mutex_;
  std::map<AttachmentKey, std::shared_ptr<Holding>> holdings_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Holding>> finished_ GUARDED_BY(mutex_);  // their threads have yet to be joined
  // The last mount epoch let go of, by dataset, on the present stream: an order for it crossed with the news. It is not
  // begun anew: its paths are used up, and control takes the release that is on its way for the whole truth.
  std::map<DatasetId, uint64_t> spent_ GUARDED_BY(mutex_);

  std::unique_ptr<TreeProcess> tree_process_;
  std::unique_ptr<Reconciler> reconciler_;
  std::unique_ptr<docker::Plugin> owned_plugin_;
  std::string own_address_ = "127.0.0.1";    // towards control; the link's thread's own
  std::unique_ptr<ControlLink> owned_link_;  // its thread uses all of the above
  std::unique_ptr<Ticker> ticker_;           // last: and so does its
};

}  // namespace flocker
