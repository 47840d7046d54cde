// What a monitor asks of control (engine/http/monitor.h).
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/control/array_probe.h"
#include "engine/http/monitor.h"
#include "engine/model/event.h"

namespace flocker {

class Controller;

class Metrics {
 public:
  // Serves at host:port, on a thread of its own. Ready is control when the array has answered lately, which must
  // outlive this. An error when nobody can listen there.
  static absl::StatusOr<std::unique_ptr<Metrics>> Serve(const std::string& address, Array& array);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Takes the present figures over. To be called on the controller's thread.
  void Show(const Controller& controller) EXCLUDES(mutex_);

  // These events are in the store, by a commit that took so long. From the controller's thread.
  void Count(const std::vector<Event>& events, absl::Duration commit);

 private:
  explicit Metrics(Array& array);
  std::vector<std::string> WhyNotReady() EXCLUDES(mutex_);

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

  ArrayProbe probe_;
  Mutex mutex_;
  absl::Duration array_answered_ GUARDED_BY(mutex_) = -absl::InfiniteDuration();  // by MonotonicNow
  std::string array_error_ GUARDED_BY(mutex_);
  std::unique_ptr<Monitor> monitor_;  // last: its thread uses the above
};

}  // namespace flocker
