// Making a device ready to be mounted: the guarded mkfs, and e2fsck when the superblock asks for it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/ids.h"
#include "engine/volume/superblock.h"

namespace flocker {

struct Prepared {
  FormatAction done = FormatAction::kMount;  // what was done to the device; never kRefuse
  std::string check;                         // why e2fsck ran and what it said; empty when it did not run
};

// Probes the device and does what DecideFormat says: the only way to mkfs. Afterwards the filesystem can be mounted.
// Runs `e2fsck -p` when the superblock asks for it, or before it adopts; never answers yes to a question of its own,
// but about the resize inode when that is all that an interrupted growth left (growth.h). Idempotent. Blocks for as
// long as a check takes, at most `check_timeout`. Errors: kForbidden when the device carries anything that is not this
// dataset's (nothing was changed); kIo when the filesystem needs a check by hand or the device fails.
absl::StatusOr<Prepared> PrepareFilesystem(const std::string& device, const DatasetId& id, bool formatted,
                                           absl::Duration check_timeout = absl::Hours(2));

// `e2fsck -f -p`: a check also of a filesystem that says it is in order. Blocks as PrepareFilesystem does. kIo when it
// finds what it does not mend on its own.
absl::Status CheckWhole(const std::string& device, absl::Duration timeout);

// The label of an ext4 that is not mounted; blocks as a command does. The command's output.
absl::StatusOr<std::string> SetLabel(const std::string& device, const std::string& label);

}  // namespace flocker
