// The part of JSON Schema (draft 4) that Flocker v1's types use (flocker-v1.md §1.5), with the messages of Python's
// jsonschema, which v1 sent: every check adds what is wrong, none ends the others.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flocker {

using SchemaErrors = std::vector<std::string>;

// The JSON text, or nothing when it is none. Deeper than 64 levels counts as none.
std::optional<nlohmann::json> ParseJson(const std::string& text);

// False when it is no object: then there is nothing more to check.
bool CheckObject(const nlohmann::json& value, SchemaErrors& errors);
void CheckRequired(const nlohmann::json& object, std::string_view key, SchemaErrors& errors);
void CheckKeys(const nlohmann::json& object, std::initializer_list<std::string_view> allowed, SchemaErrors& errors);
// A UUID of version 4, in either case.
void CheckUuid4(const nlohmann::json& value, SchemaErrors& errors);
// A string of 36 characters.
void CheckLength36(const nlohmann::json& value, SchemaErrors& errors);
// At most 16 keys of 1 to 256 characters, their values strings of at most 256.
void CheckMetadata(const nlohmann::json& value, SchemaErrors& errors);
// null, or an integer of at least 64 MiB that is a multiple of 1024.
void CheckMaximumSize(const nlohmann::json& value, SchemaErrors& errors);
// null, or any number.
void CheckExpires(const nlohmann::json& value, SchemaErrors& errors);

}  // namespace flocker
