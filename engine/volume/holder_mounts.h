// The half of FindHolders that looks at mounts, in every mount namespace that a task is in.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/volume/holders.h"
#include "engine/volume/mountinfo.h"

namespace flocker {

// A mount and the task that shows it.
struct SeenMount {
  MountEntry entry;
  bool here = false;  // in our own mount namespace
  Holder viewer;      // of whose namespace it is; not filled in when it is here
};

// Every mount of every namespace, each once, ours first.
absl::StatusOr<std::vector<SeenMount>> ReadAllMounts();

// Pure: which of them hold the dataset.
//  - here: any mount of its ext4 but the one at query.mount_path, any bind of its part of the tree, and whatever is
//    mounted on or below its paths
//  - elsewhere: the same binds and mounts of the ext4, but for a copy that our umount takes along: one at the same
//  place
//    below a mount that receives umounts from ours (mount_namespaces(7), shared and slave mounts). A service manager
//    makes such a namespace for every other service, and none of them is in the way.
std::vector<Holder> MountHolders(const HolderQuery& query, const std::vector<SeenMount>& mounts);

}  // namespace flocker
