// What a monitor reads of control, as Prometheus text over HTTP.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/event.h"

namespace flocker {

class Controller;

class Metrics {
 public:
  // Serves http://<address>/metrics on threads of its own. An error when nobody can listen there.
  static absl::StatusOr<std::unique_ptr<Metrics>> Serve(const std::string& address);

  // Takes the present figures over. To be called on the controller's thread.
  void Show(const Controller& controller);

  // These events are in the store, by a commit that took so long. From the controller's thread.
  void Count(const std::vector<Event>& events, absl::Duration commit);

 private:
  explicit Metrics(std::unique_ptr<prometheus::Exposer> exposer);

  const std::unique_ptr<prometheus::Exposer> exposer_;
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  prometheus::Counter& strays_;
  prometheus::Counter& array_looks_;
  prometheus::Gauge& datasets_;
  prometheus::Family<prometheus::Gauge>& nodes_;
  prometheus::Family<prometheus::Gauge>& pool_;
  prometheus::Family<prometheus::Counter>& events_;
  prometheus::Family<prometheus::Counter>& refusals_;
  prometheus::Family<prometheus::Histogram>& steps_;
  prometheus::Histogram& commits_;
};

}  // namespace flocker
