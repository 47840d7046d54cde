// flockerctl's exit codes: the one place where a cause becomes a number.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace flocker {

// 0 for success, else the number of its cause as ExitCodeTable lists it.
int ExitCode(const absl::Status& status);

// The table for `flockerctl --help`.
std::string ExitCodeTable();

}  // namespace flocker
