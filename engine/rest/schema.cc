#include "engine/rest/schema.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/model/ids.h"
#include "engine/model/names.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

using nlohmann::json;

constexpr int kDeepest = 64;  // what is printed is walked by recursion
constexpr size_t kLongestShown = 300;
constexpr size_t kMaxMetadata = 16;
constexpr size_t kMaxText = 256;
constexpr int64_t kSizeUnit = 1024;
constexpr size_t kUuidLength = 36;
constexpr char kUuid4[] = "^[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-4[A-Fa-f0-9]{3}-[89abAB][A-Fa-f0-9]{3}-[A-Fa-f0-9]{12}$";

// Roughly as Python shows it.
std::string Show(const json& value) {
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  std::string text = value.is_string() ? absl::StrCat("'", value.get<std::string>(), "'") : value.dump();
  if (text.size() <= kLongestShown) return text;
  size_t end = kLongestShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not within a UTF-8 sequence
  return absl::StrCat(text.substr(0, end), "...");
}

size_t Length(const json& text) { return CountCharacters(text.get_ref<const std::string&>()).value_or(0); }

bool CheckString(const json& value, SchemaErrors& errors) {
  if (!value.is_string()) errors.push_back(absl::StrCat(Show(value), " is not of type 'string'"));
  return value.is_string();
}

bool FitsMetadataKey(const std::string& key) {
  const size_t length = CountCharacters(key).value_or(0);
  return length >= 1 && length <= kMaxText && key.find('\n') == std::string::npos;  // ^.{1,256}$
}

std::string Unexpected(const std::vector<std::string>& keys) {
  return absl::StrCat("Additional properties are not allowed (", absl::StrJoin(keys, ", "),
                      keys.size() == 1 ? " was" : " were", " unexpected)");
}

}  // namespace

std::optional<json> ParseJson(const std::string& text) {
  bool too_deep = false;
  const auto limit = [&too_deep](int depth, json::parse_event_t event, json&) {
    const bool opens = event == json::parse_event_t::array_start || event == json::parse_event_t::object_start;
    too_deep = too_deep || (opens && depth >= kDeepest);  // the outermost has depth 0
    return !too_deep;
  };
  json value = json::parse(text, limit, /*allow_exceptions=*/false);
  if (too_deep || value.is_discarded()) return std::nullopt;
  return value;
}

bool CheckObject(const json& value, SchemaErrors& errors) {
  if (!value.is_object()) errors.push_back(absl::StrCat(Show(value), " is not of type 'object'"));
  return value.is_object();
}

void CheckRequired(const json& object, std::string_view key, SchemaErrors& errors) {
  if (!object.contains(key)) errors.push_back(absl::StrCat("'", std::string(key), "' is a required property"));
}

void CheckKeys(const json& object, std::initializer_list<std::string_view> allowed, SchemaErrors& errors) {
  std::vector<std::string> others;
  for (const auto& [key, value] : object.items()) {
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) others.push_back(Show(key));
  }
  if (!others.empty()) errors.push_back(Unexpected(others));
}

void CheckLength36(const json& value, SchemaErrors& errors) {
  if (!CheckString(value, errors)) return;
  if (Length(value) > kUuidLength) errors.push_back(absl::StrCat(Show(value), " is too long"));
  if (Length(value) < kUuidLength) errors.push_back(absl::StrCat(Show(value), " is too short"));
}

void CheckUuid4(const json& value, SchemaErrors& errors) {
  CheckLength36(value, errors);
  if (!value.is_string()) return;
  const auto id = DatasetId::Parse(value.get_ref<const std::string&>());
  const bool fits =
      id && id->str()[14] == '4' && std::string_view("89ab").find(id->str()[19]) != std::string_view::npos;
  if (!fits) errors.push_back(absl::StrCat(Show(value), " does not match '", kUuid4, "'"));
}

void CheckMetadata(const json& value, SchemaErrors& errors) {
  if (!CheckObject(value, errors)) return;
  if (value.size() > kMaxMetadata) errors.push_back(absl::StrCat(Show(value), " has too many properties"));
  std::vector<std::string> others;
  for (const auto& [key, text] : value.items()) {
    if (!FitsMetadataKey(key)) {
      others.push_back(Show(key));
    } else if (CheckString(text, errors) && Length(text) > kMaxText) {
      errors.push_back(absl::StrCat(Show(text), " is too long"));
    }
  }
  if (!others.empty()) errors.push_back(Unexpected(others));
}

void CheckMaximumSize(const json& value, SchemaErrors& errors) {
  if (value.is_null()) return;
  if (!value.is_number_integer()) {
    errors.push_back(absl::StrCat(Show(value), " is not of type 'integer', 'null'"));
    return;
  }
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > kMaxSize;
  if (huge) {
    errors.push_back(absl::StrCat(Show(value), " is greater than the maximum of ", kMaxSize));
  } else if (value.get<int64_t>() < static_cast<int64_t>(kMinSize)) {
    errors.push_back(absl::StrCat(Show(value), " is less than the minimum of ", kMinSize));
  }
  const bool even =
      value.is_number_unsigned() ? value.get<uint64_t>() % kSizeUnit == 0 : value.get<int64_t>() % kSizeUnit == 0;
  if (!even) errors.push_back(absl::StrCat(Show(value), " is not a multiple of ", kSizeUnit));
}

void CheckExpires(const json& value, SchemaErrors& errors) {
  if (!value.is_null() && !value.is_number()) {
    errors.push_back(absl::StrCat(Show(value), " is not of type 'number', 'null'"));
  }
}

}  // namespace flocker
