// The commands that look at the whole: this machine, the cluster, the programs.
#pragma once

#include "engine/ctl/context.h"

namespace flocker {

// Exit code 1 when a check failed; a warning is none.
absl::Status Doctor(Context& context);
absl::Status SupportBundle(Context& context);
absl::Status Version(Context& context);
absl::Status Backup(Context& context);

}  // namespace flocker
