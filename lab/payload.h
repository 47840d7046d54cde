// What is ours in a machine, as a raw tar on a disk: init and services from guest/, the project's binaries (stripped)
// and the agent's unit. So a rebuild of the code needs no rebuild of the image.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace flocker::lab {

// Writes it to `path`. `binaries`: the directory with flocker-control and the rest.
absl::Status MakePayload(const std::string& binaries, const std::string& path);

}  // namespace flocker::lab
