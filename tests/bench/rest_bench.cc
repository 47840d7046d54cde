// How long the REST API's readers wait with 10,000 datasets while 100 agents report: 50 datasets a second move from
// node to node. Controller, server and everything between them are the real ones; what the agents and the array do
// takes no time, and the disk is left out.
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/base/log.h"
#include "engine/base/unique_fd.h"
#include "engine/control/v1_service.h"
#include "engine/model/size.h"
#include "tests/harness/wait.h"

namespace flocker {
namespace {

constexpr int kDatasets = 10'000;
constexpr int kAgents = 100;
constexpr absl::Duration kMoveEvery = absl::Milliseconds(20);  // two reports each, and a heartbeat

template <class Id>
Id Numbered(int n) {
  return Id::FromRandomHex(absl::StrFormat("%032x", n));
}
std::string NameOf(int n) { return absl::StrCat("dataset", n); }
SessionId SessionOf(int node) { return static_cast<SessionId>(node) + 1; }

Snapshot Attached() {
  Snapshot snapshot;
  for (int n = 0; n < kAgents; ++n) {
    snapshot.nodes.push_back({.id = Numbered<NodeId>(n), .name = absl::StrCat("node", n), .address = "10.0.0.1"});
  }
  for (int n = 0; n < kDatasets; ++n) {
    Dataset dataset;
    dataset.id = Numbered<DatasetId>(n);
    dataset.SetName(NameOf(n));
    dataset.size = kGiB;
    dataset.formatted = true;
    dataset.desired = {.node = Numbered<NodeId>(n % kAgents), .name = dataset.name};
    dataset.placement = {
        .node = dataset.desired.node, .phase = Phase::kAttached, .epoch = 1, .mount_epoch = 1, .granted = true};
    snapshot.datasets.push_back(dataset);
  }
  return snapshot;
}

// The array and the agents: they do what they are told, and say so.
class Others : public World {
 public:
  explicit Others(Runner& runner) : runner_(runner) {}

  void Hello(int node) {
    rpc::AgentUp up;
    up.mutable_hello()->mutable_node()->set_id(Numbered<NodeId>(node).str());
    up.mutable_hello()->mutable_node()->set_name(absl::StrCat("node", node));
    up.mutable_hello()->mutable_node()->set_address("10.0.0.1");
    for (int n = node; n < kDatasets; n += kAgents) {
      rpc::Held& held = *up.mutable_hello()->add_held();
      held.set_dataset_id(Numbered<DatasetId>(n).str());
      held.set_epoch(1);
      held.set_mount_epoch(1);
    }
    Say(SessionOf(node), up);
  }
  void Beat(int node) {
    rpc::AgentUp up;
    up.mutable_heartbeat();
    Say(SessionOf(node), up);
  }
  void Move(int n, int node, uint64_t number) {
    rpc::OperationRequest request;
    request.set_id(absl::StrCat("move", number));
    request.mutable_rename()->set_dataset_id(Numbered<DatasetId>(n).str());
    request.mutable_rename()->set_node_id(Numbered<NodeId>(node).str());
    request.mutable_rename()->set_name(NameOf(n));
    runner_.Post([request](Controller& controller, absl::Duration now) {
      controller.OnOperation(request, {.session = 0, .call = 1}, now);
    });
  }
  int reports() const { return reports_; }

  absl::Status Commit(const Batch&) override { return absl::OkStatus(); }
  void SendToAgent(SessionId session, const rpc::AgentDown& message) override {
    if (message.has_attach()) {
      Report(session, message.attach().dataset_id(), message.attach().epoch(), rpc::Report::ATTACHED);
    } else if (message.has_release()) {
      Report(session, message.release().dataset_id(), message.release().epoch(), rpc::Report::RELEASED);
    }
  }
  void CloseSession(SessionId) override {}
  void StartArrayAction(const Action& action, const Dataset&) override {
    const OutcomeKind kind = action.kind == ActionKind::kArrayRevoke ? OutcomeKind::kRevoked : OutcomeKind::kGranted;
    const StepOutcome outcome{.kind = kind, .dataset = action.dataset, .epoch = action.epoch};
    runner_.Post([action, outcome](Controller& controller, absl::Duration now) {
      controller.OnArrayOutcome(action, outcome, absl::ZeroDuration(), now);
    });
  }
  void WriteRecord(const Dataset&) override {}
  void RequestCapacity() override {}
  void RequestArrayList() override {}
  void CutOffStray(const DatasetId&, const std::string&) override {}
  absl::Status CheckRoom() override { return absl::OkStatus(); }
  void Reply(uint64_t, const rpc::OperationReply&) override {}
  std::string RandomHex(size_t bytes) override { return std::string(bytes * 2, 'a'); }
  int64_t WallClockMs() override { return 0; }

 private:
  void Say(SessionId session, const rpc::AgentUp& up) {
    runner_.Post(
        [session, up](Controller& controller, absl::Duration now) { controller.OnAgentMessage(session, up, now); });
  }
  void Report(SessionId session, const std::string& dataset, uint64_t epoch, rpc::Report::Kind kind) {
    rpc::AgentUp up;
    up.mutable_report()->set_dataset_id(dataset);
    up.mutable_report()->set_epoch(epoch);
    up.mutable_report()->set_kind(kind);
    ++reports_;
    Say(session, up);
  }

  Runner& runner_;
  std::atomic<int> reports_ = 0;
};

class Cluster100 {
 public:
  explicit Cluster100(PublishedState& state)
      : controller_({.heartbeat_timeout = absl::Hours(1), .note_changes = true}, Attached(), others_, MonotonicNow()),
        v1_(runner_, calls_, state),
        api_(state, v1_, MonotonicNow) {
    v1_.Begin(controller_);
    runner_.OnFlushed([this](Controller& controller) { v1_.Flushed(controller); });
    for (int node = 0; node < kAgents; ++node) others_.Hello(node);
    control_ = std::thread([this] {
      const absl::Status ended = runner_.Run(controller_);
      if (!ended.ok()) std::abort();
    });
    mover_ = std::thread([this] {
      for (int n = 0; !stop_; ++n) {
        others_.Move(n % kDatasets, (n + 1 + n / kDatasets) % kAgents, static_cast<uint64_t>(n));
        others_.Beat(n % kAgents);
        absl::SleepFor(kMoveEvery);  // the load, not a wait for anything
      }
    });
  }
  ~Cluster100() {
    stop_ = true;
    mover_.join();
    runner_.Stop();
    control_.join();
  }
  V1Api& api() { return api_; }
  int reports() const { return others_.reports(); }

 private:
  Runner runner_;
  Others others_{runner_};
  Controller controller_;
  Calls calls_;
  V1Service v1_;
  V1Api api_;
  std::atomic<bool> stop_ = false;
  std::thread control_;
  std::thread mover_;
};

// A client that costs nothing: it takes an answer as it comes, up to its last byte.
class Reader {
 public:
  explicit Reader(uint16_t port) {
    const sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd_.reset();
  }
  // The size of the body; 0: there was no answer of 200.
  size_t Get(const std::string& path) {
    const std::string request = absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: a\r\n\r\n");
    if (send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return 0;
    size_t got = 0;
    size_t whole = buffer_.size();
    size_t body = 0;
    while (got < whole) {
      const ssize_t n = recv(fd_.get(), buffer_.data() + got, buffer_.size() - got, 0);
      if (n <= 0) return 0;
      got += static_cast<size_t>(n);
      if (body != 0) continue;
      const std::string_view text(buffer_.data(), got);
      const size_t end = text.find("\r\n\r\n");
      const size_t length = text.find(kLength);
      if (end == std::string_view::npos || length > end || text.substr(0, 12) != "HTTP/1.1 200") return 0;
      const std::string_view digits = text.substr(length + kLength.size());
      if (!absl::SimpleAtoi(absl::string_view(digits.data(), digits.find('\r')), &body)) return 0;
      whole = end + 4 + body;
    }
    return body;
  }

 private:
  static constexpr std::string_view kLength = "Content-Length: ";
  unique_fd fd_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::vector<char> buffer_ = std::vector<char>(size_t{16} << 20);
};

void BM_Read(benchmark::State& run, const std::string& path) {
  spdlog::set_level(spdlog::level::warn);
  PublishedState state;
  Cluster100 cluster(state);
  auto server = HttpServer::Start("127.0.0.1:0", [&](const HttpRequest& request, const HttpServer::Answer& answer) {
    cluster.api().Handle(request, answer);
  });
  if (!server.ok()) return run.SkipWithError(std::string(server.status().message()).c_str());
  // Until everybody was told of everything.
  if (!testing::Eventually(absl::Seconds(60), [&] { return cluster.reports() > kAgents; })) {
    return run.SkipWithError("nobody reports");
  }
  Reader reader((*server)->port());
  std::vector<absl::Duration> took;
  size_t bytes = 0;
  const int reports = cluster.reports();
  const absl::Time start = absl::Now();
  for (auto _ : run) {
    const absl::Time begin = absl::Now();
    bytes = reader.Get(path);
    took.push_back(absl::Now() - begin);
    if (bytes == 0) return run.SkipWithError("no answer");
  }
  std::sort(took.begin(), took.end());
  run.counters["p50_ms"] = absl::ToDoubleMilliseconds(took[took.size() / 2]);
  run.counters["p99_ms"] = absl::ToDoubleMilliseconds(took[took.size() * 99 / 100]);
  run.counters["bytes"] = static_cast<double>(bytes);
  run.counters["reports_s"] = (cluster.reports() - reports) / absl::ToDoubleSeconds(absl::Now() - start);
}
BENCHMARK_CAPTURE(BM_Read, configuration, "/v1/configuration/datasets")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Read, states, "/v1/state/datasets")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Read, nodes, "/v1/state/nodes")->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flocker

BENCHMARK_MAIN();
