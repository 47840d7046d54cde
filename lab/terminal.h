// A person's terminal on a machine's console.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace flocker::lab {

// Connects standard input and output to the console's unix socket, the terminal in raw mode, until ^] is typed or the
// machine is gone.
absl::Status AttachTerminal(const std::string& socket);

}  // namespace flocker::lab
