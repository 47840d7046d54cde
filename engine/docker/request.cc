#include "engine/docker/request.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/model/dataset.h"
#include "engine/model/size.h"

namespace flocker::docker {
namespace {

// Flocker's metadata keys for what the options said.
constexpr char kProfileKey[] = "clusterhq:flocker:profile";
constexpr char kSizeKey[] = "maximum_size";

}  // namespace

absl::StatusOr<VolumeRequest> ParseVolumeRequest(std::string_view body) {
  if (body.empty()) {
    return Refuse(Cause::kInvalid, "a request without a body; dockerd sends one when a connection broke: ask again");
  }
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Refuse(Cause::kInvalid, "the request's body is no JSON object");
  VolumeRequest request;
  const auto name = json.find("Name");
  if (name != json.end() && name->is_string()) request.name = name->get<std::string>();
  if (request.name.empty()) return Refuse(Cause::kInvalid, "the request names no volume");
  const auto options = json.find("Opts");
  if (options == json.end() || options->is_null()) return request;
  if (!options->is_object()) return Refuse(Cause::kInvalid, "the request's Opts are no JSON object");
  for (const auto& [key, value] : options->items()) {
    if (!value.is_string()) return Refuse(Cause::kInvalid, absl::StrCat("option '", key, "' is no text"));
    request.options[key] = value.get<std::string>();
  }
  return request;
}

Profiles DefaultProfiles() { return {{"gold", 0}, {"silver", 0}, {"bronze", 0}}; }

absl::StatusOr<Profiles::value_type> ParseProfile(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) {
    return Refuse(Cause::kInvalid,
                  absl::StrCat("'", std::string(text), "' is no profile; write for example gold=200G"));
  }
  ASSIGN_OR_RETURN(const uint64_t size, ParseSize(text.substr(equals + 1)));
  return Profiles::value_type(text.substr(0, equals), size);
}

absl::StatusOr<VolumeOptions> ReadOptions(const std::map<std::string, std::string>& options, const Profiles& profiles) {
  VolumeOptions read;
  for (const auto& [key, value] : options) {
    if (key == kNameKey) {
      return Refuse(Cause::kInvalid, "the option 'name' is not allowed: the volume's own name is that label");
    }
    if (key != "size" && key != "profile") read.metadata[key] = value;
  }
  if (const auto profile = options.find("profile"); profile != options.end()) {
    const auto known = profiles.find(profile->second);
    if (known == profiles.end()) {
      const auto name_of = [](std::string* out, const auto& entry) { out->append(entry.first); };
      return Refuse(Cause::kInvalid, absl::StrCat("there is no profile '", profile->second, "'; there are ",
                                                  absl::StrJoin(profiles, ", ", name_of)));
    }
    read.size = known->second;
    read.metadata[kProfileKey] = profile->second;
  }
  if (const auto size = options.find("size"); size != options.end()) {
    ASSIGN_OR_RETURN(read.size, ParseSize(size->second));
    read.metadata[kSizeKey] = absl::StrCat(read.size);
  }
  return read;
}

}  // namespace flocker::docker
