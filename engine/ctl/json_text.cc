#include "engine/ctl/json_text.h"

#include <map>
#include <nlohmann/json.hpp>

#include "engine/base/status.h"
#include "engine/ctl/exit_code.h"

namespace flocker {
namespace {

using Json = nlohmann::ordered_json;

// Metadata and messages may hold bytes that are not UTF-8; those are replaced, or dump would throw.
std::string Text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json Object(const rpc::DatasetView& dataset) {
  Json json;
  json["dataset_id"] = dataset.id();
  json["name"] = dataset.name();
  json["primary"] = dataset.desired_node_id();  // where it is wanted, as in v1's configuration
  json["node"] = dataset.node_id();             // where it is until it provably left
  json["maximum_size"] = dataset.size();
  json["used"] = dataset.used();
  json["metadata"] = std::map<std::string, std::string>(dataset.metadata().begin(), dataset.metadata().end());
  json["deleted"] = dataset.deleted();
  json["status"] = StatusText(dataset, false);
  json["phase"] = dataset.phase();
  json["epoch"] = dataset.epoch();
  json["protect"] = dataset.protect();
  json["created_ms"] = dataset.created_ms();
  json["error"] = dataset.error();
  return json;
}

Json Object(const rpc::LeaseView& lease) {
  Json json;
  json["dataset_id"] = lease.dataset_id();
  json["node_uuid"] = lease.node_id();
  json["expires"] = lease.has_seconds() ? Json(lease.seconds()) : Json();  // seconds from now, as in v1
  return json;
}

}  // namespace

std::string DatasetJson(const rpc::DatasetView& dataset) { return Text(Object(dataset)); }

std::string GoneJson(const std::string& dataset_id) {
  return Text(Json{{"dataset_id", dataset_id}, {"deleted", true}, {"status", "gone"}});
}

std::string DatasetsJson(const rpc::ViewReply& view, const ListingOptions& options) {
  Json array = Json::array();
  for (const rpc::DatasetView& dataset : Listed(view, options)) array.push_back(Object(dataset));
  return Text(array, 2);
}

std::string NodesJson(const rpc::ViewReply& view) {
  Json array = Json::array();
  for (const rpc::NodeView& node : view.nodes()) {
    array.push_back({{"uuid", node.id()},
                     {"host", node.address()},
                     {"name", node.name()},
                     {"connected", node.connected()},
                     {"drained", node.drained()}});
  }
  return Text(array, 2);
}

std::string LeaseJson(const rpc::LeaseView& lease) { return Text(Object(lease)); }

std::string LeasesJson(const rpc::ViewReply& view) {
  Json array = Json::array();
  for (const rpc::LeaseView& lease : view.leases()) array.push_back(Object(lease));
  return Text(array, 2);
}

std::string EventJson(const rpc::EventView& event) {
  Json json = {{"seq", event.seq()},        {"time_ms", event.time_ms()},
               {"kind", event.kind()},      {"dataset_id", event.dataset_id()},
               {"name", event.name()},      {"node", event.node_id()},
               {"epoch", event.epoch()},    {"cause", event.cause()},
               {"message", event.message()}};
  json["timeline"] = Json::array();
  for (const rpc::TimelineStep& step : event.timeline()) {
    json["timeline"].push_back({{"step", step.step()}, {"us", step.duration_us()}});
  }
  return Text(json);
}

std::string ChecksJson(const std::vector<Check>& checks) {
  Json array = Json::array();
  for (const Check& check : checks) {
    array.push_back({{"check", check.subject},
                     {"verdict", VerdictName(check.verdict)},
                     {"found", check.found},
                     {"remedy", check.remedy}});
  }
  return Text(array, 2);
}

std::string VersionsJson(const std::string& ours, const std::string& controls) {
  return Text(Json{{"flockerctl", ours}, {"flocker-control", controls}});
}

std::string BackupJson(const rpc::BackupReply& reply, const std::string& directory) {
  return Text(Json{{"directory", directory}, {"number", reply.number()}, {"bytes", reply.bytes()}});
}

std::string BundleJson(const std::string& path) { return Text(Json{{"file", path}}); }

std::string CertificateJson(const std::string& certificate, const std::string& key) {
  return Text(Json{{"certificate", certificate}, {"key", key}});
}

std::string ErrorJson(const absl::Status& status) {
  const Json error = {{"cause", std::string(CauseName(CauseOf(status)))},
                      {"exit_code", ExitCode(status)},
                      {"message", std::string(status.message())}};
  return Text(Json{{"error", error}});
}

}  // namespace flocker
