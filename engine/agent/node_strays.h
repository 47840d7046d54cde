// What of ours is on this machine: everything that an attachment leaves somewhere, found by where it is and what it is
// called, and taken away again. Nothing else is seen here, so a stranger's is never touched.
//
//   processes  flocker-lun with --mountpoint <root>/lun/<uuid>.<mount epoch>
//   mounts     ext4 at <root>/mnt/<uuid>.<mount epoch> and <root>/format/…, FUSE of flocker-lun's at <root>/lun/…
//   loops      over the files at <root>/lun/…, unless their last holder keeps them for a moment more (autoclear)
//   files      the file, the socket and the mountpoints of these names
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/ids.h"

namespace flocker {

using AttachmentKey = std::pair<DatasetId, uint64_t>;  // and its mount epoch

struct Traces {
  std::set<std::string> what;  // in words, for people
  std::vector<pid_t> servers;  // its LUN servers
};

// Reads /proc, /sys, mountinfo and directories; never asks a filesystem that a server of ours answers for.
absl::StatusOr<std::map<AttachmentKey, Traces>> FindTraces(const std::string& root);

// Takes all of it away without waiting for any device: first its I/O fails, then filesystem, loop, server and names go.
// What somebody still holds goes with its last holder. The first error; what can be done without it was done.
absl::Status RemoveTraces(const std::string& root, const AttachmentKey& key, const Traces& traces);

}  // namespace flocker
