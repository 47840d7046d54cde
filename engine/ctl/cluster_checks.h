// What the cluster says about itself, and how its control is reached. Pure.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/ctl/check.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// By our time of day, around the question.
struct Asked {
  absl::Time from;
  absl::Time to;
};

// `view`: control's answer, or why there is none. `address`: where it was asked.
std::vector<Check> CheckCluster(const absl::StatusOr<rpc::ViewReply>& view, const std::string& address,
                                const Asked& asked);

}  // namespace flocker
