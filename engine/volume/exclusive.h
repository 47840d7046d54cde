// The proof that a filesystem is let go by everybody (DESIGN §2, "In use", step 4).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace flocker {

// After a umount: opens the block device with O_EXCL (open(2): fails with EBUSY while the device is in use by the
// system, that is mounted in any namespace or held by a detached mount), and closes it again. Tries for `grace`,
// because the kernel puts a superblock a little after its last holder ended. kBusy when somebody still holds it.
absl::Status ProveExclusive(const std::string& device, absl::Duration grace = absl::Milliseconds(100));

}  // namespace flocker
