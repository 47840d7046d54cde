// A dataset's ext4 at a path that exists only while it is mounted, and letting it go.
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

namespace flocker {

// The mountpoint of one attachment: <root>/mnt/<uuid>.<epoch>.
std::string MountPath(const std::string& root, const DatasetId& id, uint64_t epoch);

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
  // Where this attachment may have mounted it before: then that mount is shown at `path` as well.
  std::string mounted_at;
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
// when the kernel says so; nothing has changed then. To undo an attach that failed, not to release: it does not prove
// that nobody else holds the filesystem, and removing the path detaches the copies other mount namespaces have of it,
// so that a proof made afterwards would find nobody.
absl::Status UnmountFilesystem(const std::string& path);

// The release (DESIGN §2, "In use", step 4), in three steps for whoever journals each, or at once.
//
// UnmountForProof: as UnmountFilesystem, but the path is renamed and not removed: it is gone from its place the moment
// nothing is mounted there, and others' copies stay. Then ProveExclusive; then RemoveReleasedPath when it succeeded, or
// MountFilesystem when it did not (which takes the renamed path back). All idempotent.
absl::Status UnmountForProof(const std::string& path);
absl::Status RemoveReleasedPath(const std::string& path);

// All of it. What is not mounted is proven all the same. Blocks while dirty data is written back (sync first), then at
// most `grace`. OK: unmounted, and held by nobody. kBusy: mounted as it was (under a new mount id), nothing lost. Any
// other error: read FindMount to see where it stands. `request.fresh_root` plays no part.
absl::Status ReleaseFilesystem(const MountRequest& request, absl::Duration grace = absl::Milliseconds(100));

// For a fenced attachment, whose device must already fail its I/O: stops the filesystem (FS_IOC_SHUTDOWN without a log
// flush), detaches the mount lazily and removes the path. Does not wait for holders. Idempotent.
absl::Status DetachFilesystem(const std::string& path);

// Removes every path below <root>/mnt that is not mounted: what a crash or a reboot left. Others' paths of the same
// root must not be in the middle of MountFilesystem or ReleaseFilesystem.
absl::Status SweepMountPaths(const std::string& root);

}  // namespace flocker
