#include "engine/http/monitor.h"

#include <prometheus/text_serializer.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr size_t kConnections = 64;

std::string Text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Monitor>> Monitor::Serve(const std::string& address, Collectables collectables,
                                                        Readiness readiness) {
  std::unique_ptr<Monitor> monitor(new Monitor(std::move(collectables), std::move(readiness)));
  const auto handle = [self = monitor.get()](const HttpRequest& request, const HttpServer::Answer& answer) {
    answer(self->Answer(request));
  };
  ASSIGN_OR_RETURN(monitor->server_, HttpServer::Start(address, handle, {.connections = kConnections}));
  return monitor;
}

HttpReply Monitor::Answer(const HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") return JsonReply(405, "");
  if (request.path == "/healthz") return JsonReply(200, Text({{"alive", true}, {"version", FLOCKER_VERSION}}));
  if (request.path == "/readyz") {
    const std::vector<std::string> reasons = readiness_();
    if (reasons.empty()) return JsonReply(200, Text({{"ready", true}}));
    return JsonReply(503, Text({{"ready", false}, {"reasons", reasons}}));
  }
  if (request.path != "/metrics") return JsonReply(404, "");
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : collectables_) {
    auto part = collectable->Collect();
    families.insert(families.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  }
  HttpReply reply = JsonReply(200, prometheus::TextSerializer().Serialize(families));
  reply.headers.emplace_back("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  return reply;
}

}  // namespace flocker
