#include "engine/control/metrics.h"

#include <array>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/control/controller.h"

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

}  // namespace

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Serve(const std::string& address) {
  try {
    return std::unique_ptr<Metrics>(new Metrics(std::make_unique<prometheus::Exposer>(address, 1)));
  } catch (const std::exception& error) {  // of civetweb, which says no more
    return absl::UnavailableError(absl::StrCat("cannot serve metrics at ", address, ": ", error.what()));
  }
}

Metrics::Metrics(std::unique_ptr<prometheus::Exposer> exposer)
    : exposer_(std::move(exposer)),
      strays_(prometheus::BuildCounter()
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
                   .Add({}, kSeconds)) {
  exposer_->RegisterCollectable(registry_);
}

void Metrics::Show(const Controller& controller) {
  strays_.Increment(static_cast<double>(controller.strays()) - strays_.Value());
  array_looks_.Increment(static_cast<double>(controller.array_looks()) - array_looks_.Value());
  datasets_.Set(static_cast<double>(controller.cluster().datasets().size()));
  for (const LivenessRow& row : kLiveness) {
    int count = 0;
    for (const auto& [id, node] : controller.cluster().nodes()) {
      if (controller.cluster().LivenessOf(id) == row.liveness) ++count;
    }
    nodes_.Add({{"state", row.name}}).Set(count);
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
