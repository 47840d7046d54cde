// The view of a whole cluster, made small: the same for a thousand agents, it is what a start of control sends most of.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// zlib, at its fastest: 100,000 datasets take about a second.
std::string PackView(const rpc::ViewDelta& view);
// kDataLoss when it cannot be read. That all of it came is for the transport to see to.
absl::StatusOr<rpc::ViewDelta> UnpackView(const std::string& packed);

}  // namespace flocker
