// Making an ext4 as large as the device below it has become.
//
//   mounted      the kernel does it, journaled, under load; it wants CAP_SYS_RESOURCE, which root lacks in some places
//   not mounted  resize2fs, after a whole check; what a crash leaves of it PrepareFilesystem mends
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace flocker {

// Whether this process may grow a mounted ext4.
bool MayGrowMounted();

// All return OK when there is nothing to grow: a last piece smaller than a block group needs for its own tables stays
// unused. Idempotent.

// The ext4 of `device`, mounted at `path`. Blocks for as long as the kernel takes, about a millisecond for a GiB.
// kDenied without CAP_SYS_RESOURCE, kStale when `path` is no mount of it; nothing was changed then.
absl::Status GrowMounted(const std::string& device, const std::string& path);

// The ext4 of `device`, which nobody has mounted and PrepareFilesystem found in order. Blocks for as long as a whole
// check takes, at most `timeout`. kIo when the check finds damage that it does not mend on its own, or when resize2fs
// fails.
absl::Status GrowUnmounted(const std::string& device, absl::Duration timeout = absl::Hours(2));

}  // namespace flocker
