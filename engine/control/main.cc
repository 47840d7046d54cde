// flocker-control: puts store, array, controller and the gRPC services together.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/array/tgt.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/control/agent_service.h"
#include "engine/control/array_runner.h"
#include "engine/control/cluster_service.h"
#include "engine/control/controller.h"
#include "engine/control/runner.h"
#include "engine/rpc/channel.h"
#include "engine/store/rocksdb_store.h"

namespace flocker {
namespace {

constexpr size_t kArrayThreads = 4;
constexpr uint64_t kKeepEvents = 100'000;
constexpr uint64_t kTrimEvery = 10'000;

struct Config {
  std::string data;
  std::vector<std::string> listen;
  TgtConfig tgt;
  ControllerOptions controller;
};

class ControlWorld : public World {
 public:
  ControlWorld(Runner& runner, Store& store, Array& array, AgentService& agents, ClusterService& clients)
      : store_(store),
        agents_(agents),
        clients_(clients),
        array_(
            array, kArrayThreads,
            {.done =
                 [&runner](const Action& action, const StepOutcome& outcome, absl::Duration took) {
                   runner.Post([=](Controller& controller, absl::Duration now) {
                     controller.OnArrayOutcome(action, outcome, took, now);
                   });
                 },
             .capacity =
                 [&runner](const absl::StatusOr<PoolCapacity>& capacity) {
                   runner.Post(
                       [=](Controller& controller, absl::Duration now) { controller.OnCapacity(capacity, now); });
                 },
             .record_failed =
                 [&runner](const DatasetId& id, const absl::Status& status) {
                   runner.Post([id, message = std::string(status.message())](Controller& controller, absl::Duration) {
                     controller.OnNotice(id, "record-not-written", message);
                   });
                 }}) {}

  absl::Status Commit(const Batch& batch) override {
    RETURN_IF_ERROR(store_.Commit(batch));
    if (batch.events.empty()) return absl::OkStatus();
    const uint64_t seq = batch.events.back().seq;
    if (seq / kTrimEvery != batch.events.front().seq / kTrimEvery) return store_.TrimEvents(kKeepEvents);
    return absl::OkStatus();
  }
  void SendToAgent(SessionId session, const rpc::AgentDown& message) override { agents_.Send(session, message); }
  void CloseSession(SessionId session) override { agents_.Close(session); }
  void StartArrayAction(const Action& action, const Dataset& dataset) override { array_.Start(action, dataset); }
  void WriteRecord(const Dataset& dataset) override { array_.WriteRecord(dataset); }
  void RequestCapacity() override { array_.RequestCapacity(); }
  void Reply(uint64_t call, const rpc::OperationReply& reply) override { clients_.Reply(call, reply); }
  std::string RandomHex(size_t bytes) override { return flocker::RandomHex(bytes); }
  int64_t WallClockMs() override { return absl::ToUnixMillis(absl::Now()); }

 private:
  Store& store_;
  AgentService& agents_;
  ClusterService& clients_;
  ArrayRunner array_;
};

absl::Status Serve(const Config& config) {
  RETURN_IF_ERROR(MakeDirectories(config.data, 0700));
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, RocksdbStore::Open(config.data));
  ASSIGN_OR_RETURN(const Snapshot snapshot, store->Load());
  const uint64_t oldest = snapshot.last_event > kTrimEvery ? snapshot.last_event - kTrimEvery : 0;
  ASSIGN_OR_RETURN(const std::vector<Event> recent, store->Events(oldest, kTrimEvery + 1));

  Runner runner;
  TgtArray array(config.tgt);
  array.OnRestart(
      [&runner] { runner.Post([](Controller& controller, absl::Duration now) { controller.OnArrayRestart(now); }); });
  AgentService agents(runner);
  ClusterService clients(runner, *store);
  ControlWorld world(runner, *store, array, agents, clients);
  Controller controller(config.controller, snapshot, world, MonotonicNow());
  controller.RememberRefusals(recent);
  runner.OnFlushed([&clients, seen = controller.last_event_seq()](Controller& c) mutable {
    if (seen == c.last_event_seq()) return;
    seen = c.last_event_seq();
    clients.EventsChanged();
  });

  grpc::ServerBuilder builder;
  builder.RegisterService(&agents);
  builder.RegisterService(&clients);
  ASSIGN_OR_RETURN(const std::unique_ptr<grpc::Server> server, StartServer(builder, config.listen));
  spdlog::info("flocker-control {} serves {} datasets on {}", FLOCKER_VERSION, snapshot.datasets.size(),
               absl::StrJoin(config.listen, ", "));
  return runner.Run(controller);
}

void EndOnSignals() {
  // State is durable before anything acts on it, so there is nothing to wind up: the process just ends.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    spdlog::info("ending on signal {}", signal);
    std::_Exit(0);
  }).detach();
}

}  // namespace
}  // namespace flocker

int main(int argc, char** argv) {
  using namespace flocker;  // NOLINT(google-build-using-namespace): a main composes
  CLI::App app("flocker-control: owns the cluster's state, plans, drives the array");
  Config config;
  double heartbeat = 5;
  double operation = 10;
  std::string prefix;
  app.set_version_flag("--version", FLOCKER_VERSION);
  app.add_option("--data", config.data, "directory of the cluster's state")->required();
  app.add_option("--listen", config.listen, "host:port or unix:/path; may be repeated")->required();
  app.add_option("--pool", config.tgt.pool, "directory of the LUNs' backing files on the array head")->required();
  app.add_option("--tgt-control-number", config.tgt.control_number, "tgtadm -C")->required();
  app.add_option("--portal", config.tgt.portal, "ip:port under which nodes reach the array")->required();
  app.add_option("--tgtadm-prefix", prefix,
                 "command that runs tgtadm and file commands on the array head, as in 'ssh array'");
  app.add_option("--heartbeat-timeout", heartbeat, "seconds of silence after which a node counts as down")
      ->capture_default_str();
  app.add_option("--op-timeout", operation, "seconds after which an operation answers that it goes on")
      ->capture_default_str();
  app.add_option("--overcommit", config.controller.overcommit, "promised space over the pool's size")
      ->capture_default_str();
  app.add_option("--pool-reserve", config.controller.pool_reserve, "share of the pool that must be free to create")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  config.controller.heartbeat_timeout = absl::Seconds(heartbeat);
  config.controller.operation_timeout = absl::Seconds(operation);
  if (!prefix.empty()) config.tgt.command_prefix = absl::StrSplit(prefix, ' ', absl::SkipEmpty());

  InitLogging("flocker-control");
  EndOnSignals();
  const absl::Status status = Serve(config);
  spdlog::critical("{}", std::string(status.message()));
  // Not exit: calls that wait for an answer would be waited for.
  std::_Exit(1);
}
