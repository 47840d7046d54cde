// What dockerd asks, read: the bodies of the volume plugin protocol
// (https://docs.docker.com/engine/extend/plugins_volume/) and the options of a volume.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace flocker::docker {

// The ID of a Mount or an Unmount is left out: dockerd repeats and forgets it, so nothing may depend on it.
struct VolumeRequest {
  std::string name;
  std::map<std::string, std::string> options;  // of a Create
};

// kInvalid for what is no JSON object with a Name that is not empty and, if at all, Opts of texts. An empty body among
// it: dockerd sends one when it repeats a request whose connection was dropped.
absl::StatusOr<VolumeRequest> ParseVolumeRequest(std::string_view body);

// The size in bytes of a volume of that profile for which nobody says one; 0: the cluster's default.
using Profiles = std::map<std::string, uint64_t>;
// Flocker's three, each with the cluster's default size.
Profiles DefaultProfiles();
// "gold=200G"; kInvalid or kRange.
absl::StatusOr<Profiles::value_type> ParseProfile(std::string_view text);

struct VolumeOptions {
  uint64_t size = 0;  // bytes; 0: the cluster's default
  std::map<std::string, std::string> metadata;
};

// `size` and `profile` as Flocker knew them (flocker-v1.md §3), which become labels as well; everything else is a label
// as it is. kInvalid for a size that is none (Flocker took its default for it), an unknown profile, and for `name`,
// which is the volume's own.
absl::StatusOr<VolumeOptions> ReadOptions(const std::map<std::string, std::string>& options, const Profiles& profiles);

}  // namespace flocker::docker
