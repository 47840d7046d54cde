// The half of FindHolders that looks at tasks: cwd, root, exe, descriptors, mapped files.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/volume/holders.h"
#include "engine/volume/proc_tasks.h"

namespace flocker {

// Whether an inode of that device and number is the dataset's, by its ext4 or by its tree.
bool Belongs(const HolderQuery& query, dev_t device, uint64_t inode);

// The path of the first mapping in a /proc/<pid>/maps text (proc(5)) whose file is the dataset's; nothing when there is
// none. Lines it cannot read are no mappings of files.
std::optional<std::string> FindMapping(const HolderQuery& query, std::string_view maps);

// One holder per process.
absl::StatusOr<std::vector<Holder>> FindTaskHolders(const HolderQuery& query);

// A holder's command, user, mount namespace and container, as far as the task still exists.
Holder Identify(const ProcTask& task);

}  // namespace flocker
