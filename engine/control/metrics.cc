#include "engine/control/metrics.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/control/controller.h"
#include "engine/control/runner.h"

namespace flocker {
namespace {

struct LivenessRow {
  Liveness liveness;
  const char* name;
};
constexpr std::array<LivenessRow, 3> kLiveness = {
    {{Liveness::kConnected, "connected"}, {Liveness::kSilent, "silent"}, {Liveness::kDown, "down"}}};

// From a commit to a step that waits for io_timeout.
const prometheus::Histogram::BucketBoundaries kSeconds = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 120};

// It is asked every 10 s (ControllerOptions::capacity_interval).
constexpr absl::Duration kArrayPatience = absl::Seconds(30);

}  // namespace

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Serve(const std::string& address, Array& array) {
  std::unique_ptr<Metrics> metrics(new Metrics(array));
  ASSIGN_OR_RETURN(metrics->monitor_, Monitor::Serve(address, {metrics->registry_},
                                                     [self = metrics.get()] { return self->WhyNotReady(); }));
  return metrics;
}

Metrics::Metrics(Array& array)
    : strays_(prometheus::BuildCounter()
                  .Name("flocker_strays_total")
                  .Help("Things of ours found on nodes and array that nobody accounted for; 0 in a healthy cluster")
                  .Register(*registry_)
                  .Add({})),
      array_looks_(prometheus::BuildCounter()
                       .Name("flocker_array_looks_total")
                       .Help("How often the array was compared with the records")
                       .Register(*registry_)
                       .Add({})),
      datasets_(prometheus::BuildGauge()
                    .Name("flocker_datasets")
                    .Help("Datasets, trash included")
                    .Register(*registry_)
                    .Add({})),
      nodes_(prometheus::BuildGauge()
                 .Name("flocker_nodes")
                 .Help("Known nodes, by how they are heard")
                 .Register(*registry_)),
      pool_(prometheus::BuildGauge()
                .Name("flocker_pool_bytes")
                .Help("The array's pool: its size, what is free, what the trash takes")
                .Register(*registry_)),
      events_(prometheus::BuildCounter()
                  .Name("flocker_events_total")
                  .Help("Events, by their kind: operations asked for and done, sessions lost, fences, failures")
                  .Register(*registry_)),
      refusals_(prometheus::BuildCounter()
                    .Name("flocker_refusals_total")
                    .Help("What was refused, by its cause")
                    .Register(*registry_)),
      steps_(prometheus::BuildHistogram()
                 .Name("flocker_phase_seconds")
                 .Help("What each step of an operation took, on the array, on a node or here")
                 .Register(*registry_)),
      commits_(prometheus::BuildHistogram()
                   .Name("flocker_commit_seconds")
                   .Help("How long changes took to be on disk")
                   .Register(*registry_)
                   .Add({}, kSeconds)),
      probe_(array) {}

std::vector<std::string> Metrics::WhyNotReady() {
  const std::string now = probe_.Error();
  if (!now.empty()) return {absl::StrCat("the array does not answer: ", now)};
  const MutexLock lock(mutex_);
  if (!array_error_.empty()) return {absl::StrCat("the array does not answer: ", array_error_)};
  if (array_answered_ == -absl::InfiniteDuration()) return {"the array has not answered yet"};
  const absl::Duration silent = MonotonicNow() - array_answered_;
  if (silent <= kArrayPatience) return {};
  return {absl::StrCat("the array has not answered for ", absl::FormatDuration(absl::Trunc(silent, absl::Seconds(1))))};
}

void Metrics::Show(const Controller& controller) {
  {
    const MutexLock lock(mutex_);
    array_answered_ = controller.capacity_at();
    array_error_ = controller.array_error();
  }
  strays_.Increment(static_cast<double>(controller.strays()) - strays_.Value());
  array_looks_.Increment(static_cast<double>(controller.array_looks()) - array_looks_.Value());
  datasets_.Set(static_cast<double>(controller.cluster().datasets().size()));
  for (const LivenessRow& row : kLiveness) {
    nodes_.Add({{"state", row.name}}).Set(static_cast<double>(controller.cluster().CountNodes(row.liveness)));
  }
  const auto pool = [&](const char* kind, uint64_t bytes) {
    pool_.Add({{"kind", kind}}).Set(static_cast<double>(bytes));
  };
  if (const auto& capacity = controller.capacity()) {
    pool("size", capacity->total);
    pool("free", capacity->free);
  }
  pool("trash", controller.cluster().trash_used());
}

void Metrics::Count(const std::vector<Event>& events, absl::Duration commit) {
  commits_.Observe(absl::ToDoubleSeconds(commit));
  for (const Event& event : events) {
    events_.Add({{"kind", event.kind}}).Increment();
    if (!event.cause.empty()) refusals_.Add({{"cause", event.cause}}).Increment();
    for (const StepTime& step : event.timeline) {
      steps_.Add({{"step", step.step}}, kSeconds).Observe(static_cast<double>(step.duration_us) * 1e-6);
    }
  }
}

}  // namespace flocker
