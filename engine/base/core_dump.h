// What holds secrets leaves no core file.
#pragma once

#include "absl/status/status.h"

namespace flocker {

// From now on neither this process (PR_SET_DUMPABLE, which a piped core_pattern heeds, too) nor, by RLIMIT_CORE, a
// program that it starts writes its memory anywhere when it crashes. Looking into it by /proc then takes
// CAP_SYS_PTRACE.
absl::Status ForbidCoreDumps();

}  // namespace flocker
