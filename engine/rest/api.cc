#include "engine/rest/api.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace flocker {
namespace {

using nlohmann::json;

constexpr char kTagHeader[] = "X-Configuration-Tag";
constexpr char kMatchHeader[] = "X-If-Configuration-Matches";
// With v1's line break in the middle.
constexpr char kUndecodable[] =
    "The request body could not be decoded according to the value of the\nContent-Type header.";

std::string Dump(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

HttpReply Describe(unsigned status, const std::string& description) {
  return JsonReply(status, Dump({{"description", description}}));
}

HttpReply Send(PublishedState::Text text) { return {.status = 200, .body = std::move(text), .headers = {}}; }

HttpReply Bad(const BadBody& body) {
  if (!body.decoded) return Describe(400, kUndecodable);
  return JsonReply(
      400, Dump({{"description", "The provided JSON doesn't match the required schema."}, {"errors", body.errors}}));
}

std::string LeaseText(const DatasetId& dataset, const NodeId& node, std::optional<double> expires) {
  json value = {{"dataset_id", dataset.str()}, {"node_uuid", node.str()}, {"expires", nullptr}};
  if (expires) value["expires"] = *expires;
  return Dump(value);
}

// What is the same for every change; `missing`: what was not found.
HttpReply Failed(const V1Result& result, const Tags& tags, const std::string& missing) {
  switch (result.kind) {
    case V1Result::Kind::kTagMismatch:
      return Describe(412, absl::StrCat("Tag doesn't match. Required: ", tags.empty() ? "" : tags.front(),
                                        ", current: ", result.text));
    case V1Result::Kind::kIdInUse:
      return Describe(409, "The provided dataset_id is already in use.");
    case V1Result::Kind::kNotFound:
      return Describe(404, missing);
    case V1Result::Kind::kDeleted:
      return Describe(405, "The dataset has been deleted.");
    case V1Result::Kind::kLeaseHeld:
      return Describe(409, "Lease already held.");
    default:  // v1's form of what it did not foresee: a bare string
      return JsonReply(500, Dump(result.text));
  }
}

bool Succeeded(const V1Result& result) {
  return result.kind == V1Result::Kind::kDone || result.kind == V1Result::Kind::kCreated;
}

// An answer about one dataset.
V1Control::Done DatasetAnswer(unsigned status, const Tags& tags, const V1Api::Answer& answer) {
  return [=](const V1Result& result) {
    answer(Succeeded(result) ? JsonReply(status, result.text) : Failed(result, tags, "Dataset not found."));
  };
}

// A body that is wrong is said only to whom whose tag is right.
void AnswerBad(V1Control& control, const Tags& tags, const BadBody& body, const V1Api::Answer& answer) {
  control.CheckTags(tags,
                    [=](const V1Result& result) { answer(Succeeded(result) ? Bad(body) : Failed(result, tags, "")); });
}

}  // namespace

const std::vector<V1Api::Route>& V1Api::Routes() {
  static const std::vector<Route> kRoutes = {
      {"GET", "/v1/version", &V1Api::Version},
      {"GET", "/v1/configuration/datasets", &V1Api::ListConfiguration},
      {"POST", "/v1/configuration/datasets", &V1Api::Create},
      {"POST", "/v1/configuration/datasets/", &V1Api::Move},
      {"DELETE", "/v1/configuration/datasets/", &V1Api::Delete},
      {"GET", "/v1/state/datasets", &V1Api::ListStates},
      {"GET", "/v1/state/nodes", &V1Api::ListNodes},
      {"GET", "/v1/state/nodes/by_era/", &V1Api::NodeByEra},
      {"GET", "/v1/configuration/leases", &V1Api::ListLeases},
      {"POST", "/v1/configuration/leases", &V1Api::AcquireLease},
      {"DELETE", "/v1/configuration/leases/", &V1Api::ReleaseLease},
  };
  return kRoutes;
}

void V1Api::Handle(const HttpRequest& request, const Answer& answer) {
  std::vector<std::string_view> methods;
  for (const Route& route : Routes()) {
    std::string name;
    if (route.path.back() == '/') {
      if (request.path.compare(0, route.path.size(), route.path) != 0) continue;
      name = request.path.substr(route.path.size());
      if (name.empty() || name.find('/') != std::string::npos) continue;
    } else if (request.path != route.path) {
      continue;
    }
    if (request.method == route.method) return (this->*route.handle)(request, name, answer);
    methods.push_back(route.method);
  }
  if (methods.empty()) return answer(Describe(404, "Not found."));
  HttpReply reply = Describe(405, "The method is not allowed for this path.");
  reply.headers.emplace_back(
      "Allow", absl::StrJoin(methods, ", ", [](std::string* out, std::string_view method) { out->append(method); }));
  answer(reply);
}

HttpReply V1Api::Refusal(unsigned status) {
  switch (status) {
    case 413:
      return Describe(413, "The request body is larger than 1 MiB.");
    case 431:
      return Describe(431, "The request's header is too large.");
    default:
      return Describe(400, "This is not an HTTP/1.1 request.");
  }
}

void V1Api::Version(const HttpRequest&, const std::string&, const Answer& answer) {
  answer(JsonReply(200, Dump({{"flocker", FLOCKER_VERSION}})));
}

void V1Api::ListConfiguration(const HttpRequest&, const std::string&, const Answer& answer) {
  PublishedState::Configuration configuration = state_.Datasets();
  HttpReply reply = Send(std::move(configuration.text));
  reply.headers.emplace_back(kTagHeader, configuration.tag);
  answer(reply);
}

void V1Api::Create(const HttpRequest& request, const std::string&, const Answer& answer) {
  const Tags tags = request.Values(kMatchHeader);
  const auto body = ReadCreate(request.body);
  if (const auto* bad = std::get_if<BadBody>(&body)) return AnswerBad(control_, tags, *bad, answer);
  control_.Create(tags, std::get<CreateBody>(body), DatasetAnswer(201, tags, answer));
}

void V1Api::Move(const HttpRequest& request, const std::string& id, const Answer& answer) {
  const Tags tags = request.Values(kMatchHeader);
  const auto body = ReadMove(request.body);
  if (const auto* bad = std::get_if<BadBody>(&body)) return AnswerBad(control_, tags, *bad, answer);
  control_.Move(tags, id, std::get<MoveBody>(body), DatasetAnswer(200, tags, answer));
}

void V1Api::Delete(const HttpRequest& request, const std::string& id, const Answer& answer) {
  const Tags tags = request.Values(kMatchHeader);
  control_.Delete(tags, id, DatasetAnswer(200, tags, answer));
}

void V1Api::ListStates(const HttpRequest&, const std::string&, const Answer& answer) { answer(Send(state_.States())); }

void V1Api::ListNodes(const HttpRequest&, const std::string&, const Answer& answer) { answer(Send(state_.Nodes())); }

void V1Api::NodeByEra(const HttpRequest&, const std::string& era, const Answer& answer) {
  const auto node = state_.NodeOfEra(absl::AsciiStrToLower(era));
  if (!node) return answer(Describe(404, "No node found with given era."));
  answer(JsonReply(200, Dump({{"uuid", node->str()}})));
}

void V1Api::ListLeases(const HttpRequest&, const std::string&, const Answer& answer) {
  answer(JsonReply(200, state_.Leases(clock_())));
}

void V1Api::AcquireLease(const HttpRequest& request, const std::string&, const Answer& answer) {
  const auto body = ReadLease(request.body);
  if (const auto* bad = std::get_if<BadBody>(&body)) return answer(Bad(*bad));
  const LeaseBody asked = std::get<LeaseBody>(body);
  control_.AcquireLease(asked, [=](const V1Result& result) {
    if (!Succeeded(result)) return answer(Failed(result, {}, ""));
    const bool created = result.kind == V1Result::Kind::kCreated;
    answer(JsonReply(created ? 201 : 200, LeaseText(asked.dataset, asked.node, asked.expires)));
  });
}

void V1Api::ReleaseLease(const HttpRequest&, const std::string& id, const Answer& answer) {
  const std::string missing = "Lease not found.";
  const auto dataset = DatasetId::Parse(id);
  if (!dataset) return answer(Describe(404, missing));
  control_.ReleaseLease(*dataset, [=](const V1Result& result) {
    if (!Succeeded(result)) return answer(Failed(result, {}, missing));
    const std::optional<double> left = result.left ? std::optional(absl::ToDoubleSeconds(*result.left)) : std::nullopt;
    answer(JsonReply(200, LeaseText(result.lease->dataset, result.lease->node, left)));
  });
}

}  // namespace flocker
