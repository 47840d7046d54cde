#include "engine/rest/requests.h"

#include <utility>

#include "engine/rest/schema.h"

namespace flocker {
namespace {

using nlohmann::json;

// Checks with `check` what the object has under that key, if anything.
void CheckAt(const json& object, const char* key, void (*check)(const json&, SchemaErrors&), SchemaErrors& errors) {
  if (const auto found = object.find(key); found != object.end()) check(*found, errors);
}

std::string Text(const json& object, const char* key) { return object.at(key).get<std::string>(); }

// `check` looks at an object, `read` turns one without errors into a body.
template <class Body, class Check, class Read>
Checked<Body> ReadBody(const std::string& text, Check check, Read read) {
  const std::optional<json> value = ParseJson(text);
  if (!value) return BadBody{};
  SchemaErrors errors;
  if (CheckObject(*value, errors)) check(*value, errors);
  if (!errors.empty()) return BadBody{.decoded = true, .errors = std::move(errors)};
  return read(*value);
}

}  // namespace

Checked<CreateBody> ReadCreate(const std::string& text) {
  const auto check = [](const json& value, SchemaErrors& errors) {
    CheckAt(value, "primary", CheckUuid4, errors);
    CheckAt(value, "dataset_id", CheckUuid4, errors);
    CheckAt(value, "maximum_size", CheckMaximumSize, errors);
    CheckAt(value, "metadata", CheckMetadata, errors);
    CheckKeys(value, {"primary", "dataset_id", "maximum_size", "metadata"}, errors);
    CheckRequired(value, "primary", errors);
  };
  return ReadBody<CreateBody>(text, check, [](const json& value) {
    CreateBody body;
    body.primary = *NodeId::Parse(Text(value, "primary"));
    if (value.contains("dataset_id")) body.dataset_id = DatasetId::Parse(Text(value, "dataset_id"));
    if (const auto size = value.find("maximum_size"); size != value.end() && !size->is_null()) {
      body.maximum_size = size->get<uint64_t>();
    }
    if (value.contains("metadata")) {
      for (const auto& [key, label] : value.at("metadata").items()) body.metadata[key] = label.get<std::string>();
    }
    return body;
  });
}

Checked<MoveBody> ReadMove(const std::string& text) {
  const auto check = [](const json& value, SchemaErrors& errors) {
    CheckAt(value, "primary", CheckUuid4, errors);
    CheckKeys(value, {"primary"}, errors);
  };
  return ReadBody<MoveBody>(text, check, [](const json& value) {
    MoveBody body;
    if (value.contains("primary")) body.primary = NodeId::Parse(Text(value, "primary"));
    return body;
  });
}

Checked<LeaseBody> ReadLease(const std::string& text) {
  const auto check = [](const json& value, SchemaErrors& errors) {
    CheckAt(value, "dataset_id", CheckLength36, errors);
    CheckAt(value, "node_uuid", CheckUuid4, errors);
    CheckAt(value, "expires", CheckExpires, errors);
    CheckKeys(value, {"dataset_id", "node_uuid", "expires"}, errors);
    for (const char* key : {"dataset_id", "node_uuid", "expires"}) CheckRequired(value, key, errors);
    if (errors.empty() && !DatasetId::Parse(Text(value, "dataset_id"))) {
      errors.push_back("'" + Text(value, "dataset_id") + "' is not a UUID");
    }
  };
  return ReadBody<LeaseBody>(text, check, [](const json& value) {
    LeaseBody body;
    body.dataset = *DatasetId::Parse(Text(value, "dataset_id"));
    body.node = *NodeId::Parse(Text(value, "node_uuid"));
    if (!value.at("expires").is_null()) body.expires = value.at("expires").get<double>();
    return body;
  });
}

}  // namespace flocker
