#include "engine/agent/node_metrics.h"

#include <prometheus/metric_family.h>

#include <utility>

#include "engine/base/status.h"

namespace flocker {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// From a sync of nothing to one that waits for io_timeout.
const prometheus::Histogram::BucketBoundaries kSeconds = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 120};

using Labels = std::vector<ClientMetric::Label>;

class Builder {
 public:
  Builder(std::string name, std::string help, MetricType type) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void Add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family_.metric.push_back(std::move(metric));
  }
  MetricFamily Take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

// What is not counted as it happens but looked up when it is asked for.
class Figures : public prometheus::Collectable {
 public:
  explicit Figures(std::function<NodeFigures()> look) : look_(std::move(look)) {}

  std::vector<MetricFamily> Collect() const override {
    const NodeFigures now = look_();
    Builder control("flocker_control_reachable", "1 while this node's agent is connected to control",
                    MetricType::Gauge);
    control.Add(now.control_reachable ? 1 : 0);
    Builder strays("flocker_node_strays_total", "Things of ours found on this node that nobody accounted for",
                   MetricType::Counter);
    strays.Add(static_cast<double>(now.strays));
    Builder mounted("flocker_dataset_mounted", "1 when the dataset is mounted on this node", MetricType::Gauge);
    Builder session("flocker_dataset_session", "1 while its LUN server is logged in at the array", MetricType::Gauge);
    Builder epoch("flocker_dataset_epoch", "Epoch of its grant", MetricType::Gauge);
    Builder requests("flocker_dataset_io_total", "Requests its block device completed", MetricType::Counter);
    Builder bytes("flocker_dataset_io_bytes_total", "Bytes its block device carried", MetricType::Counter);
    Builder seconds("flocker_dataset_io_seconds_total", "Time its requests took, added up", MetricType::Counter);
    Builder in_flight("flocker_dataset_io_in_flight", "Requests under way", MetricType::Gauge);
    for (const AttachmentFigures& one : now.attachments) {
      const Labels labels = {{"dataset", one.dataset}, {"name", one.name}};
      mounted.Add(one.mounted ? 1 : 0, labels);
      session.Add(one.session ? 1 : 0, labels);
      epoch.Add(static_cast<double>(one.epoch), labels);
      if (!one.io) continue;
      in_flight.Add(static_cast<double>(one.io->in_flight), labels);
      const auto add = [&](const char* direction, const LoopIo::Direction& io) {
        Labels directed = labels;
        directed.push_back({"direction", direction});
        requests.Add(static_cast<double>(io.requests), directed);
        bytes.Add(static_cast<double>(io.bytes), directed);
        seconds.Add(absl::ToDoubleSeconds(io.time), directed);
      };
      add("read", one.io->read);
      add("write", one.io->write);
      add("discard", one.io->discard);
    }
    std::vector<MetricFamily> all;
    for (Builder* family : {&control, &strays, &mounted, &session, &epoch, &requests, &bytes, &seconds, &in_flight}) {
      all.push_back(family->Take());
    }
    return all;
  }

 private:
  const std::function<NodeFigures()> look_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<NodeMetrics>> NodeMetrics::Serve(const std::string& address,
                                                                std::function<NodeFigures()> look,
                                                                Monitor::Readiness readiness) {
  std::unique_ptr<NodeMetrics> metrics(new NodeMetrics(std::move(look)));
  ASSIGN_OR_RETURN(metrics->monitor_,
                   Monitor::Serve(address, {metrics->registry_, metrics->figures_}, std::move(readiness)));
  return metrics;
}

NodeMetrics::NodeMetrics(std::function<NodeFigures()> look)
    : figures_(std::make_shared<Figures>(std::move(look))),
      steps_(prometheus::BuildHistogram()
                 .Name("flocker_step_seconds")
                 .Help("What each step of attaching, growing and releasing took on this node, by its result")
                 .Register(*registry_)) {}

void NodeMetrics::CountStep(std::string_view step, bool ok, absl::Duration took) {
  steps_.Add({{"step", std::string(step)}, {"result", ok ? "ok" : "failed"}}, kSeconds)
      .Observe(absl::ToDoubleSeconds(took));
}

}  // namespace flocker
