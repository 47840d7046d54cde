// Whether a flush reaches the disk under the array: figures of a peer that drops flushes would be worth nothing.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"

namespace flocker::bench {

// Writes and fsyncs the file some times, and looks with strace whether `array`, the process behind it, syncs a file
// each time. An error when it does so less often.
absl::Status CheckFlushes(const std::string& file, pid_t array, const std::string& log);

}  // namespace flocker::bench
