// The process behind `flocker-lab up`: it owns a cluster and does what the other commands ask of it, one at a time,
// over <dir>/lab.sock: a line {"do": <command>, …} and an answer {"exit": n, "output": text}.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/subprocess.h"
#include "lab/cluster.h"

namespace flocker::lab {

// Boots the cluster and serves until `down` or a signal to end. Everything it started is gone when it returns.
absl::Status Serve(const std::string& dir, const std::string& binaries, const ClusterOptions& options);

// Asks the daemon of `dir`. Unavailable when there is none.
absl::StatusOr<CommandResult> Ask(const std::string& dir, const nlohmann::json& request, absl::Duration timeout);

}  // namespace flocker::lab
