// The proof that a filesystem is let go by everybody (DESIGN §2, "In use", step 4).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/volume/filesystem.h"

namespace flocker {

// After a umount: opens the block device with O_EXCL (open(2): fails with EBUSY while the device is in use by the
// system, that is mounted in any namespace or held by a detached mount), and closes it again. Tries for `grace`,
// because the kernel puts a superblock a little after its last holder ended. kBusy when somebody still holds it.
absl::Status ProveExclusive(const std::string& device, absl::Duration grace = absl::Milliseconds(100));

// Step 4 as a whole: umount, the proof, and mounted again when it fails. OK: unmounted and provably held by nobody.
// kBusy: mounted as before (under a new mount id), nothing lost. Any other error says whether it is mounted.
// `request.fresh_root` is not used.
absl::Status ReleaseFilesystem(const MountRequest& request, absl::Duration grace = absl::Milliseconds(100));

}  // namespace flocker
