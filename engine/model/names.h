// Names of datasets and nodes, and the text of labels.
// Names (DESIGN §2): 1-128 of [A-Za-z0-9_.-], the first alphanumeric, not `self`, not a UUID.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace flocker {

// OK, or kInvalid with what is wrong with it.
absl::Status CheckName(std::string_view name);

// How many Unicode characters a text has; nothing when it is not UTF-8.
std::optional<size_t> CountCharacters(std::string_view text);

}  // namespace flocker
