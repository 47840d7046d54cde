// Names of datasets and nodes (DESIGN §2): 1-128 of [A-Za-z0-9_.-], the first alphanumeric, not `self`, not a UUID.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace flocker {

// OK, or kInvalid with what is wrong with it.
absl::Status CheckName(std::string_view name);

}  // namespace flocker
