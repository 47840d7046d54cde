// A dataset's ext4: made, checked, mounted at a path that exists only while it is mounted, and let go.
//
//   device --PrepareFilesystem--> ready --MountFilesystem--> mounted --UnmountFilesystem--> ready
//                                                               \--DetachFilesystem--> gone from here, lingering while
//                                                               held
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/ids.h"
#include "engine/volume/superblock.h"

namespace flocker {

// The mountpoint of one attachment: <root>/mnt/<uuid>.<epoch>.
std::string MountPath(const std::string& root, const DatasetId& id, uint64_t epoch);

struct Prepared {
  FormatAction done = FormatAction::kMount;  // what was done to the device; never kRefuse
  std::string check;                         // why e2fsck ran and what it said; empty when it did not run
};

// Probes the device and does what DecideFormat says: the only way to mkfs. Afterwards the filesystem can be mounted.
// Runs `e2fsck -p` when the superblock asks for it, or before it adopts; never answers yes to a question of its own.
// Idempotent. Blocks for as long as a check takes, at most `check_timeout`.
// Errors: kForbidden when the device carries anything that is not this dataset's (nothing was changed); kIo when the
// filesystem needs a check by hand or the device fails.
absl::StatusOr<Prepared> PrepareFilesystem(const std::string& device, const DatasetId& id, bool formatted,
                                           absl::Duration check_timeout = absl::Hours(2));

// Who owns the root directory of a filesystem that nobody has used yet.
struct FreshRoot {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0755;
};

struct MountRequest {
  std::string device;
  DatasetId id;      // the superblock's UUID must be this one, or nothing is mounted
  std::string path;  // from MountPath
  bool nodev = true;
  bool nosuid = true;
  std::optional<FreshRoot>
      fresh_root;  // set as long as the record says not `formatted`: lost+found goes, root is given
};

// Mounts it with errors=remount-ro. The path's parents are made (mode 0711 for the last: a container's user passes
// through, nobody lists), the path itself appears only together with the mount; what fails leaves nothing behind.
// Idempotent: already mounted there from the same device is a success. kForbidden when the UUID is another.
absl::Status MountFilesystem(const MountRequest& request);

// Writes everything back (syncfs); blocks for as long as that takes. kIo when something could not be written.
absl::Status SyncFilesystem(const std::string& path);

// umount, never lazy, then removes the path. Idempotent. Blocks while dirty data is written back: sync first. kBusy
// when the kernel says so; nothing has changed then. A success does not yet mean that nobody else holds the filesystem:
// see exclusive.h.
absl::Status UnmountFilesystem(const std::string& path);

// For a fenced attachment, whose device must already fail its I/O: stops the filesystem (FS_IOC_SHUTDOWN without a log
// flush), detaches the mount lazily and removes the path. Does not wait for holders. Idempotent.
absl::Status DetachFilesystem(const std::string& path);

}  // namespace flocker
