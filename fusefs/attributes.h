// The names of the attributes flocker.* (DESIGN §2), and what may be written to them. Pure, and without the agent's
// messages, so that a fuzzer can drive it.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/operations.h"

namespace flocker {

inline constexpr char kAttributePrefix[] = "flocker.";
inline constexpr std::string_view kMetadataPrefix = "metadata.";  // behind kAttributePrefix

// What setxattr(2) of flocker.<name> asks for; without a value, what removexattr(2) does. `flags` as setxattr has them.
// The wish's ids are left to the caller.
//   flocker.size          "20G" or bytes, larger than before
//   flocker.protect       "1" or "0"
//   flocker.metadata.<k>  any UTF-8 text
// kForbidden for one that is only to be read, kNotFound for one that does not exist, kExists when `flags` want a new
// one of those that are always there, kInvalid and kRange for a value that cannot be.
absl::StatusOr<ChangeWish> ParseChange(std::string_view name, std::optional<std::string_view> value, int flags);

}  // namespace flocker
