// Leases, as flockerctl shows and names them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// Columns DATASET NAME NODE EXPIRES; the last in seconds from now.
std::string FormatLeases(const rpc::ViewReply& view);

// The id of a dataset by its name or a prefix of its id, or any whole UUID: there may be a lease of what is gone.
absl::StatusOr<std::string> SelectLeased(const rpc::ViewReply& view, std::string_view text);

}  // namespace flocker
