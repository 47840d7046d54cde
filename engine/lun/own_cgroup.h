// Out of reach of everybody else's memory limit.
#pragma once

#include "absl/status/status.h"

namespace flocker::lun {

// Moves this process into the cgroup `flocker-lun`, without a limit, at the root of each hierarchy that accounts memory
// (cgroup v1's, or v2 with that controller). In the cgroup of those who write through us we would be the one who waits
// for the memory that only our work can free (DESIGN §5). Call it before memory is taken: that stays accounted where it
// was. An error says which hierarchy refused; the others are joined all the same.
absl::Status JoinOwnCgroup();

}  // namespace flocker::lun
