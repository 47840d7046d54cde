// flocker-control: puts store, array, controller and the gRPC services together.
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
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
#include "engine/array/local.h"
#include "engine/array/tgt.h"
#include "engine/base/config_file.h"
#include "engine/base/core_dump.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/control/adoption.h"
#include "engine/control/agent_service.h"
#include "engine/control/calls.h"
#include "engine/control/cluster_service.h"
#include "engine/control/control_world.h"
#include "engine/control/controller.h"
#include "engine/control/metrics.h"
#include "engine/control/restored_state.h"
#include "engine/control/room.h"
#include "engine/control/runner.h"
#include "engine/control/state_service.h"
#include "engine/control/v1_service.h"
#include "engine/http/http_server.h"
#include "engine/rest/api.h"
#include "engine/rest/published.h"
#include "engine/rpc/channel.h"
#include "engine/rpc/tls_context.h"
#include "engine/store/backup.h"
#include "engine/store/rocksdb_store.h"

namespace flocker {
namespace {

constexpr char kControlYml[] = "/etc/flocker/control.yml";
constexpr uint64_t kRecentEvents = 10'000;  // agents that were away longer miss some
constexpr rlim_t kDescriptors = 16'384;

struct Config {
  std::string data;
  Listening listening;
  std::string array = "tgt";  // or "local"
  TgtConfig tgt;
  ControllerOptions controller;
  uint64_t reserve = uint64_t{64} << 20;  // bytes that must be free beside the state to take on anything new
  std::string metrics;
  std::string rest;  // where the REST API is served; empty: nowhere
  std::string restore;
  bool adopt = false;
};

std::unique_ptr<Array> MakeArray(const Config& config) {
  if (config.array == "local") return std::make_unique<LocalArray>(LocalConfig{.pool = config.tgt.pool});
  return std::make_unique<TgtArray>(config.tgt);
}

// One-time work on the state, by flags; then the program ends, and is started without them.
absl::Status Restore(const Config& config) {
  ASSIGN_OR_RETURN(const BackupInfo info, RestoreBackup(config.restore, config.data));
  spdlog::info("backup {} of {} is now the state in {}; start flocker-control without --restore", info.number,
               config.restore, config.data);
  return absl::OkStatus();
}

absl::Status AdoptArray(const Config& config) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, RocksdbStore::Open(config.data));
  const std::unique_ptr<Array> array = MakeArray(config);
  ASSIGN_OR_RETURN(const std::vector<std::string> notes, Adopt(*store, *array, absl::ToUnixMillis(absl::Now())));
  for (const std::string& note : notes) spdlog::info("adopted: {}", note);
  spdlog::info("start flocker-control without --adopt");
  return absl::OkStatus();
}

absl::Status CheckRestored(const Snapshot& snapshot, Array& array) {
  if (!snapshot.meta.contains(kRestoredMeta)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<ArrayEntry> entries, array.List());
  const std::vector<std::string> newer = NewerOnArray(snapshot, entries);
  if (newer.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the state was restored (", snapshot.meta.at(kRestoredMeta),
      ") and the array is newer: ", absl::StrJoin(newer, "; "),
      ". Run flocker-control once with --adopt, which takes up what is on the array and fences everything"));
}

// A state without anything in it would take a living cluster for strays, and cut it off.
absl::Status CheckEmpty(const Snapshot& snapshot, const Config& config, Array& array) {
  if (!snapshot.datasets.empty() || !snapshot.nodes.empty() || snapshot.last_event != 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<ArrayEntry> entries, array.List());
  for (const ArrayEntry& entry : entries) {
    if (entry.record.empty()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the state in ", config.data, " is empty, but the array has datasets (", entry.id.str(),
                     "): give the cluster's own --data, put a backup there with --restore, or run flocker-control once "
                     "with --adopt, which takes up what is on the array and fences everything"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<HttpServer>> ServeRest(const Config& config, V1Api& api) {
  // A descriptor for each connection, beside the store's and the agents'.
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0 && descriptors.rlim_cur < kDescriptors) {
    descriptors.rlim_cur = std::min<rlim_t>(kDescriptors, descriptors.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &descriptors) != 0) {
      spdlog::warn("{}", std::string(ErrnoStatus(errno, "cannot have more descriptors for REST clients").message()));
    }
  }
  const Transport& transport = config.listening.transport;
  std::shared_ptr<TlsContexts> tls;
  if (UsesCertificates(transport, config.rest)) {
    ASSIGN_OR_RETURN(tls, TlsContexts::Open(FilesIn(transport.certificates, Role::kControl), {Role::kUser}, "REST"));
  } else {
    spdlog::warn("REST at {} is insecure: whoever reaches it is let in, and everything can be read on its way",
                 config.rest);
  }
  const auto handle = [&api](const HttpRequest& request, const HttpServer::Answer& answer) {
    api.Handle(request, answer);
  };
  ASSIGN_OR_RETURN(auto server, HttpServer::Start(config.rest, handle, {.refusal = V1Api::Refusal}, tls));
  spdlog::info("the REST API is on port {}", server->port());
  return server;
}

// Why a successor of this process waits before it does anything; set across execv.
constexpr char kAwaitRoom[] = "FLOCKER_CONTROL_AWAITS_ROOM";

// The state in memory may be ahead of the disk's, so nothing more may come of it. Nothing is destroyed on the way out:
// gRPC would wait for calls that wait for us. A full disk is waited for by a successor, which serves nobody meanwhile.
[[noreturn]] void End(const absl::Status& status, char** argv) {
  spdlog::critical("{}", std::string(status.message()));
  if (CauseOf(status) == Cause::kNoSpace) {
    setenv(kAwaitRoom, "1", 1);
    execv("/proc/self/exe", argv);
    spdlog::critical("{}", std::string(ErrnoStatus(errno, "cannot start anew").message()));
  }
  std::_Exit(1);
}

// The service manager, if it watches, hears that the controller's thread still gets round to what is posted.
void FeedWatchdog(Runner& runner) {
  uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) <= 0) return;
  std::thread([&runner, pause = std::chrono::microseconds(limit_us / 3)] {
    while (true) {
      runner.Post([](Controller&, absl::Duration) { sd_notify(0, "WATCHDOG=1"); });
      std::this_thread::sleep_for(pause);
    }
  }).detach();
}

// Returns only when it cannot begin.
absl::Status Serve(const Config& config, char** argv) {
  RETURN_IF_ERROR(ForbidCoreDumps());
  for (const std::string& address : config.listening.addresses) {
    RETURN_IF_ERROR(CheckListener(config.listening.transport, address));
  }
  if (!config.rest.empty()) RETURN_IF_ERROR(CheckListener(config.listening.transport, config.rest));
  RETURN_IF_ERROR(MakeDirectories(config.data, 0700));
  ASSIGN_OR_RETURN(const std::unique_ptr<RocksdbStore> store, RocksdbStore::Open(config.data));
  ASSIGN_OR_RETURN(const Snapshot snapshot, store->Load());
  const uint64_t oldest = snapshot.last_event > kRecentEvents ? snapshot.last_event - kRecentEvents : 0;
  ASSIGN_OR_RETURN(const std::vector<Event> recent, store->Events(oldest, kRecentEvents + 1));

  Runner runner;
  const std::unique_ptr<Array> owned_array = MakeArray(config);
  Array& array = *owned_array;
  RETURN_IF_ERROR(CheckEmpty(snapshot, config, array));
  RETURN_IF_ERROR(CheckRestored(snapshot, array));
  array.OnRestart(
      [&runner] { runner.Post([](Controller& controller, absl::Duration now) { controller.OnArrayRestart(now); }); });
  AgentService agents(runner);
  agents.Announce(recent);
  Calls calls;
  ClusterService clients(runner, calls, *store);
  StateService state(*store, config.data);
  ControlWorld world(runner, *store, array, agents, calls, Room(config.data, config.reserve));
  Controller controller(config.controller, snapshot, world, MonotonicNow());
  controller.RememberRefusals(recent);
  std::unique_ptr<Metrics> metrics;
  if (!config.metrics.empty()) {
    ASSIGN_OR_RETURN(metrics, Metrics::Serve(config.metrics, array));
    metrics->Show(controller);
    world.CountIn(*metrics);
  }
  PublishedState published;
  V1Service v1(runner, calls, published);
  V1Api api(published, v1, MonotonicNow);
  std::unique_ptr<HttpServer> rest;
  if (!config.rest.empty()) {
    v1.Begin(controller);
    ASSIGN_OR_RETURN(rest, ServeRest(config, api));
  }
  runner.OnFlushed([&, seen = controller.last_event_seq()](Controller& c) mutable {
    if (metrics != nullptr) metrics->Show(c);
    if (rest != nullptr) v1.Flushed(c);
    clients.Flushed();
    if (seen == c.last_event_seq()) return;
    seen = c.last_event_seq();
    clients.EventsChanged();
  });

  grpc::ServerBuilder builder;
  builder.RegisterService(&agents);
  builder.RegisterService(&clients);
  builder.RegisterService(&state);
  ASSIGN_OR_RETURN(const std::unique_ptr<grpc::Server> server, StartServer(builder, config.listening));
  spdlog::info("flocker-control {} serves {} datasets on {}", FLOCKER_VERSION, snapshot.datasets.size(),
               absl::StrJoin(config.listening.addresses, ", "));
  FeedWatchdog(runner);
  sd_notify(0, "READY=1");  // does nothing where nobody started it who wants to know
  End(runner.Run(controller), argv);
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
  double retention = 24 * 60 * 60;
  std::string prefix;
  app.set_version_flag("--version", FLOCKER_VERSION);
  app.add_option("--data", config.data, "directory of the cluster's state")->required();
  app.add_option("--listen", config.listening.addresses, "host:port or unix:/path; may be repeated")->required();
  app.add_option("--certificates", config.listening.transport.certificates,
                 "directory of cluster.crt, control-service.crt and control-service.key, for host:port: who connects "
                 "there must have a certificate of the cluster's, too")
      ->capture_default_str();
  app.add_flag("--insecure", config.listening.transport.insecure,
               "use no certificates: anybody who reaches host:port is let in");
  app.add_option("--group-listen", config.listening.group_address,
                 "unix:/path of one more socket, which a group may use as users do; the others are root's alone")
      ->check([](const std::string& address) {
        return IsUnixAddress(address) ? "" : "a group's socket is unix:/path, not " + address;
      });
  app.add_option("--group", config.listening.group, "that group")->capture_default_str();
  app.add_option("--array", config.array,
                 "tgt; or local: files of this machine, for agents on this machine alone, without iSCSI")
      ->check([](const std::string& array) {
        return array == "tgt" || array == "local" ? "" : "the arrays are tgt and local, not " + array;
      })
      ->capture_default_str();
  app.add_option("--pool", config.tgt.pool, "directory of the LUNs' backing files on the array head")->required();
  app.add_option("--tgt-control-number", config.tgt.control_number, "tgtadm -C")->capture_default_str();
  app.add_option("--portal", config.tgt.portal, "ip:port under which nodes reach the array; tgt's must be given");
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
  double reconcile = 60;
  uint64_t reserve = 64;
  app.add_option("--reconcile-interval", reconcile, "seconds between comparisons of the array with the records")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--data-reserve", reserve, "MiB that must be free beside the state to take on an operation")
      ->capture_default_str();
  app.add_option("--retention", retention, "seconds that the trash keeps a destroyed dataset; 0: it is purged at once")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--metrics", config.metrics,
                 "host:port that serves monitors /metrics, /healthz and /readyz; nowhere if not given");
  double patience = 120;
  app.add_option("--rest", config.rest,
                 "host:port that serves Flocker's REST API v1, 4523 in Flocker, to users; nowhere if not given");
  app.add_option("--move-patience", patience, "seconds for which a move or delete asked by REST is tried")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  auto* restore = app.add_option("--restore", config.restore,
                                 "put the newest backup in this directory into --data, which must be empty, and end");
  app.add_flag("--adopt", config.adopt,
               "take up what is on the array into the state, fence whoever holds anything, and end")
      ->excludes(restore);
  UseConfigFile(app, argc == 1 ? kControlYml : "");
  app.callback([&config, &prefix] {
    if (config.array == "tgt" && config.tgt.portal.empty()) throw CLI::RequiredError("--portal");
    if (config.array == "local" && !(config.tgt.portal.empty() && prefix.empty())) {
      throw CLI::ValidationError("--array local", "its files are on this machine: no --portal, no --tgtadm-prefix");
    }
  });
  CLI11_PARSE(app, argc, argv);
  // They are compared as texts.
  for (std::string* path : {&config.data, &config.tgt.pool, &config.restore}) {
    while (path->size() > 1 && path->back() == '/') path->pop_back();
  }
  config.controller.move_patience = absl::Seconds(patience);
  config.controller.note_changes = !config.rest.empty();
  config.controller.reconcile_interval = absl::Seconds(reconcile);
  config.reserve = reserve << 20;
  config.controller.heartbeat_timeout = absl::Seconds(heartbeat);
  config.controller.retention = absl::Seconds(retention);
  config.controller.operation_timeout = absl::Seconds(operation);
  if (!prefix.empty()) config.tgt.command_prefix = absl::StrSplit(prefix, ' ', absl::SkipEmpty());

  InitLogging("flocker-control");
  EndOnSignals();
  if (!config.restore.empty() || config.adopt) {
    const absl::Status status = config.adopt ? AdoptArray(config) : Restore(config);
    if (!status.ok()) spdlog::critical("{}", std::string(status.message()));
    return status.ok() ? 0 : 1;
  }
  if (std::getenv(kAwaitRoom) != nullptr) {
    unsetenv(kAwaitRoom);
    spdlog::warn("waits for room at {}", config.data);
    Room(config.data, config.reserve).Wait();
  }
  End(Serve(config, argv), argv);
}
