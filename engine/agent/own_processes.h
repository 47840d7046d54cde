// Processes of ours on this machine, told by the program that they run, as root, and by what they were told to mount.
// Nothing else is seen here, so a stranger's is never touched, and nobody can pass a process off as ours.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace flocker {

absl::StatusOr<std::vector<pid_t>> AllProcesses();

// The value of --mountpoint in the command line of a process that runs `program`, one of ours; nothing for any other.
std::optional<std::string> MountpointOf(pid_t pid, std::string_view program);

// Whether a path names the same file for that process: in another mount namespace it is another one.
bool SeesOurFiles(pid_t pid);

}  // namespace flocker
