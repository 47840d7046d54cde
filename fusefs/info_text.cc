#include "fusefs/info_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "engine/model/dataset.h"

namespace flocker {
namespace {

using Json = nlohmann::ordered_json;

// A gauge; each value with the one label that tells it from the others, if there are others.
class Gauge {
 public:
  Gauge(std::string name, std::string help, std::string label = "") : label_(std::move(label)) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = prometheus::MetricType::Gauge;
  }
  Gauge& Add(uint64_t value, const std::string& which = "") {
    prometheus::ClientMetric metric;
    if (!label_.empty()) metric.label.push_back({label_, which});
    metric.gauge.value = static_cast<double>(value);
    family_.metric.push_back(std::move(metric));
    return *this;
  }
  operator prometheus::MetricFamily() const { return family_; }  // NOLINT(google-explicit-constructor): its only use

 private:
  const std::string label_;
  prometheus::MetricFamily family_;
};

}  // namespace

std::string StatusText(const View& view, const Reach& reach, const EventFile::Extent& events) {
  const std::vector<CatalogNode> nodes = view.Nodes();
  Json status;
  status["version"] = FLOCKER_VERSION;
  status["node"] = view.own_name();
  status["agent"] = reach.agent;
  status["control"] = reach.control;
  status["view"] = view.version();
  if (const CatalogPool pool = view.Pool(); pool.size != 0) {
    status["pool"] = {{"size", pool.size}, {"free", pool.free}, {"trash", pool.trash}};
  }
  status["events"] = {{"first", events.first}, {"last", events.last}};
  status["nodes"] = Json::array();
  for (const CatalogNode& node : nodes) {
    status["nodes"].push_back({{"id", node.id.str()}, {"name", node.name}, {"connected", node.connected}});
  }
  status["datasets"] = view.Totals().datasets;
  status["here"] = Json::array();
  for (const CatalogDataset& dataset : view.Here()) {
    Json shown = {{"id", dataset.id.str()},
                  {"name", dataset.name},
                  {"state", PhaseName(dataset.phase)},
                  {"mounted", dataset.serial != 0},
                  {"epoch", dataset.epoch},
                  {"size", dataset.size},
                  {"used", dataset.used}};
    if (!dataset.error.empty()) shown["error"] = dataset.error;
    status["here"].push_back(std::move(shown));
  }
  return status.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string MetricsText(const View& view, const Reach& reach, const EventFile::Extent& events) {
  std::map<std::string, uint64_t> nodes = {{"connected", 0}, {"away", 0}};
  for (const CatalogNode& node : view.Nodes()) ++nodes[node.connected ? "connected" : "away"];
  std::map<std::string, uint64_t> here;
  uint64_t mounted = 0;
  for (const CatalogDataset& dataset : view.Here()) {
    ++here[std::string(PhaseName(dataset.phase))];
    if (dataset.serial != 0) ++mounted;
  }
  Gauge nodes_gauge("flocker_tree_nodes", "Known nodes, by whether control hears them", "state");
  for (const auto& [state, count] : nodes) nodes_gauge.Add(count, state);
  Gauge here_gauge("flocker_tree_node_datasets", "Datasets of this node, by their state", "state");
  for (const auto& [state, count] : here) here_gauge.Add(count, state);
  std::vector<prometheus::MetricFamily> families = {
      Gauge("flocker_tree_agent_connected", "1 while flocker-fs has its agent; else all below is as last heard")
          .Add(reach.agent ? 1 : 0),
      Gauge("flocker_tree_control_reachable", "1 while the agent has control").Add(reach.control ? 1 : 0),
      Gauge("flocker_tree_datasets", "Datasets of the cluster, trash included").Add(view.Totals().datasets),
      Gauge("flocker_tree_node_mounted", "Datasets mounted on this node").Add(mounted),
      Gauge("flocker_tree_last_event", "The sequence number of the newest event known here").Add(events.last),
      nodes_gauge,
      here_gauge};
  if (const CatalogPool pool = view.Pool(); pool.size != 0) {
    families.push_back(Gauge("flocker_tree_pool_size_bytes", "Of the array's pool, as last measured").Add(pool.size));
    families.push_back(Gauge("flocker_tree_pool_free_bytes", "Of it, what is free").Add(pool.free));
    families.push_back(Gauge("flocker_tree_pool_trash_bytes", "Of it, what destroyed datasets hold").Add(pool.trash));
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace flocker
