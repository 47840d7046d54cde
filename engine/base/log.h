// Logging of every daemon: spdlog to standard error, one line a message, time in UTC.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace flocker {

// Call once in main, before any thread. `process` names the daemon (and node) on every line. The level comes from
// FLOCKER_LOG (trace, debug, info, warn, error), else info.
void InitLogging(const std::string& process);

}  // namespace flocker
