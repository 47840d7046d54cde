// How long the REST API's readers wait with 10,000 datasets, while the reports of 100 agents change what is read: the
// server, what is published and the way it is changed are the real ones, the reports are not.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/model/size.h"
#include "engine/rest/api.h"
#include "tests/harness/http_client.h"

namespace flocker {
namespace {

constexpr int kDatasets = 10'000;
constexpr int kAgents = 100;
constexpr absl::Duration kReportEvery = absl::Milliseconds(10);  // all agents together: 100 reports a second

template <class Id>
Id Numbered(int n) {
  return Id::FromRandomHex(absl::StrFormat("%032x", n));
}

// Nobody changes anything by REST here.
class Refusing : public V1Control {
 public:
  void CheckTags(const Tags&, Done done) override { done({.kind = V1Result::Kind::kRefused}); }
  void Create(const Tags& tags, const CreateBody&, Done done) override { CheckTags(tags, done); }
  void Move(const Tags& tags, const std::string&, const MoveBody&, Done done) override { CheckTags(tags, done); }
  void Delete(const Tags& tags, const std::string&, Done done) override { CheckTags(tags, done); }
  void AcquireLease(const LeaseBody&, Done done) override { CheckTags({}, done); }
  void ReleaseLease(const DatasetId&, Done done) override { CheckTags({}, done); }
};

class Reports {
 public:
  explicit Reports(PublishedState& state) : state_(state) {
    for (int n = 0; n < kAgents; ++n) {
      cluster_.PutNode({.id = Numbered<NodeId>(n), .name = absl::StrCat("node", n), .address = "10.0.0.1"});
      cluster_.SetLiveness(Numbered<NodeId>(n), Liveness::kConnected);
    }
    state_.StageNodes(cluster_);
    for (int n = 0; n < kDatasets; ++n) Report(n, Phase::kAttached);
    state_.Publish();
    thread_ = std::thread([this] {
      for (int n = 0; !stop_; n = (n + 7) % kDatasets) {
        Report(n, Phase::kGranting);
        state_.Publish();
        absl::SleepFor(kReportEvery);  // the load, not a wait for anything
        Report(n, Phase::kAttached);
      }
    });
  }
  ~Reports() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Report(int n, Phase phase) {
    Dataset dataset;
    dataset.id = Numbered<DatasetId>(n);
    dataset.SetName(absl::StrCat("dataset", n));
    dataset.size = kGiB;
    dataset.desired = {.node = Numbered<NodeId>(n % kAgents), .name = dataset.name};
    dataset.placement = {.node = dataset.desired.node, .phase = phase, .epoch = 1, .mount_epoch = 1};
    state_.StageDataset(dataset.id, {.dataset = &dataset}, cluster_);
  }

  PublishedState& state_;
  Cluster cluster_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

void BM_Read(benchmark::State& run, const std::string& path) {
  PublishedState state;
  Refusing control;
  V1Api api(state, control, [] { return absl::ZeroDuration(); });
  auto server = HttpServer::Start("127.0.0.1:0", [&api](const HttpRequest& request, const HttpServer::Answer& answer) {
    api.Handle(request, answer);
  });
  if (!server.ok()) return run.SkipWithError(std::string(server.status().message()).c_str());
  const Reports reports(state);
  testing::HttpClient client((*server)->port());
  std::vector<absl::Duration> took;
  size_t bytes = 0;
  for (auto _ : run) {
    const absl::Time begin = absl::Now();
    const testing::HttpAnswer answer = client.Get(path);
    took.push_back(absl::Now() - begin);
    if (answer.status != 200) return run.SkipWithError(answer.body.c_str());
    bytes = answer.body.size();
  }
  std::sort(took.begin(), took.end());
  run.counters["p50_ms"] = absl::ToDoubleMilliseconds(took[took.size() / 2]);
  run.counters["p99_ms"] = absl::ToDoubleMilliseconds(took[took.size() * 99 / 100]);
  run.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK_CAPTURE(BM_Read, configuration, "/v1/configuration/datasets")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Read, states, "/v1/state/datasets")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Read, nodes, "/v1/state/nodes")->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flocker

BENCHMARK_MAIN();
