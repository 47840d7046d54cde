// flocker-control with an array that takes no time and keeps nothing: what its figures show is control's own. Begins
// with a cluster whose datasets are all attached; store, controller and gRPC services are the real ones.
//
//     bench_control --data DIRECTORY --listen unix:/path --metrics HOST:PORT --nodes N --datasets-per-node M
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/control/agent_service.h"
#include "engine/control/calls.h"
#include "engine/control/cluster_service.h"
#include "engine/control/control_world.h"
#include "engine/control/controller.h"
#include "engine/control/metrics.h"
#include "engine/control/room.h"
#include "engine/control/runner.h"
#include "engine/model/codec.h"
#include "engine/model/size.h"
#include "engine/rpc/channel.h"
#include "engine/store/rocksdb_store.h"
#include "tests/bench/bench_cluster.h"

namespace flocker::bench {
namespace {

constexpr uint64_t kPool = uint64_t{1} << 60;
constexpr size_t kPerCommit = 1000;

class InstantArray : public Array {
 public:
  explicit InstantArray(const std::vector<Dataset>& datasets) {
    for (const Dataset& dataset : datasets) {
      luns_[dataset.id] = {dataset.size, dataset.placement.grant.initiator, ToJson(dataset, Secrets::kOmit)};
    }
  }

  absl::StatusOr<PoolCapacity> Capacity() override { return PoolCapacity{.total = kPool, .free = kPool}; }
  absl::Status Create(const DatasetId& id, uint64_t size, const std::string& record) override {
    const MutexLock lock(mutex_);
    luns_[id] = {size, "", record};
    return absl::OkStatus();
  }
  absl::Status Resize(const DatasetId& /*id*/, uint64_t /*size*/) override { return absl::OkStatus(); }
  absl::Status Destroy(const DatasetId& id) override {
    const MutexLock lock(mutex_);
    luns_.erase(id);
    return absl::OkStatus();
  }
  absl::Status WriteRecord(const DatasetId& id, const std::string& record) override {
    const MutexLock lock(mutex_);
    luns_[id].record = record;
    return absl::OkStatus();
  }
  absl::StatusOr<LunAddress> Grant(const DatasetId& id, const flocker::Grant& grant) override {
    const MutexLock lock(mutex_);
    luns_[id].initiator = grant.initiator;
    return LunAddress{.portal = "127.0.0.1:3260", .target = "iqn.bench:" + id.str(), .lun = 1};
  }
  absl::Status Revoke(const DatasetId& id, const flocker::Grant& /*grant*/) override { return CutOff(id); }
  absl::Status Fence(const DatasetId& id, const flocker::Grant& /*grant*/) override { return CutOff(id); }
  absl::Status CutOff(const DatasetId& id) override {
    const MutexLock lock(mutex_);
    luns_[id].initiator.clear();
    return absl::OkStatus();
  }
  absl::StatusOr<LunAddress> Renew(const DatasetId& id, const flocker::Grant& /*previous*/,
                                   const flocker::Grant& next) override {
    return Grant(id, next);
  }
  absl::StatusOr<std::vector<ArrayEntry>> List() override {
    const MutexLock lock(mutex_);
    std::vector<ArrayEntry> entries;
    for (const auto& [id, lun] : luns_) {
      ArrayEntry entry{.id = id, .size = lun.size, .used = 1, .record = lun.record, .exported = !lun.initiator.empty()};
      if (entry.exported) entry.allowed.push_back(lun.initiator);
      entries.push_back(std::move(entry));
    }
    return entries;
  }
  void OnRestart(std::function<void()> /*restarted*/) override {}

 private:
  struct Lun {
    uint64_t size = 0;
    std::string initiator;  // who may log in; empty: nobody
    std::string record;
  };
  Mutex mutex_;
  std::map<DatasetId, Lun> luns_ GUARDED_BY(mutex_);
};

Snapshot Attached(int nodes, int per_node) {
  Snapshot snapshot;
  for (int n = 0; n < nodes; ++n) {
    snapshot.nodes.push_back({.id = NodeNumber(n), .name = NodeName(n), .address = "10.0.0.1"});
  }
  for (int n = 0; n < nodes * per_node; ++n) {
    Dataset dataset;
    dataset.id = DatasetNumber(n);
    dataset.SetName(DatasetName(n));
    dataset.size = kGiB;
    dataset.formatted = true;
    dataset.desired = {.node = NodeNumber(n / per_node), .name = dataset.name};
    dataset.placement = {.node = dataset.desired.node,
                         .phase = Phase::kAttached,
                         .epoch = 1,
                         .mount_epoch = 1,
                         .granted = true,
                         .grant = {.epoch = 1,
                                   .node = *dataset.desired.node,
                                   .initiator = "iqn.bench:" + dataset.id.str() + ".1",
                                   .user = "user",
                                   .secret = "a secret of 16 c"}};
    snapshot.datasets.push_back(std::move(dataset));
  }
  return snapshot;
}

absl::Status Fill(Store& store, const Snapshot& snapshot) {
  RETURN_IF_ERROR(store.Commit({.put_nodes = snapshot.nodes}));
  for (size_t i = 0; i < snapshot.datasets.size(); i += kPerCommit) {
    const auto first = snapshot.datasets.begin() + static_cast<std::ptrdiff_t>(i);
    const auto count = std::min(kPerCommit, snapshot.datasets.size() - i);
    RETURN_IF_ERROR(store.Commit({.put = {first, first + static_cast<std::ptrdiff_t>(count)}}));
  }
  return absl::OkStatus();
}

struct Config {
  std::string data;
  std::string listen;
  std::string metrics;
  int nodes = 10;
  int per_node = 100;
};

absl::Status Serve(const Config& config) {
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  ASSIGN_OR_RETURN(const auto store, RocksdbStore::Open(config.data));
  const Snapshot wanted = Attached(config.nodes, config.per_node);
  RETURN_IF_ERROR(Fill(*store, wanted));
  InstantArray array(wanted.datasets);
  ASSIGN_OR_RETURN(const Snapshot snapshot, store->Load());

  Runner runner;
  AgentService agents(runner);
  Calls calls;
  ClusterService clients(runner, calls, *store);
  ControlWorld world(runner, *store, array, agents, calls, Room(config.data, 0));
  // A thousand moves at once take longer than anybody would wait for one.
  Controller controller({.operation_timeout = absl::Minutes(10)}, snapshot, world, MonotonicNow());
  ASSIGN_OR_RETURN(const auto metrics, Metrics::Serve(config.metrics, array));
  world.CountIn(*metrics);
  runner.OnFlushed([&](Controller&) { clients.Flushed(); });
  grpc::ServerBuilder builder;
  builder.RegisterService(&agents);
  builder.RegisterService(&clients);
  ASSIGN_OR_RETURN(const auto server, StartServer(builder, {.addresses = {config.listen}}));
  return runner.Run(controller);
}

}  // namespace
}  // namespace flocker::bench

int main(int argc, char** argv) {
  flocker::bench::Config config;
  CLI::App app("flocker-control without an array, for the bench");
  app.add_option("--data", config.data)->required();
  app.add_option("--listen", config.listen)->required();
  app.add_option("--metrics", config.metrics)->required();
  app.add_option("--nodes", config.nodes)->check(CLI::PositiveNumber);
  app.add_option("--datasets-per-node", config.per_node)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  flocker::InitLogging("bench_control");
  spdlog::set_level(spdlog::level::warn);
  const absl::Status ended = flocker::bench::Serve(config);
  spdlog::critical("{}", std::string(ended.message()));
  std::_Exit(EXIT_FAILURE);
}
