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
                 .Register(*registry_)) {
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
}

}  // namespace flocker
