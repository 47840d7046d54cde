// Which container a process belongs to, told by its cgroup.
#pragma once

#include <string>
#include <string_view>

namespace flocker {

// The container's id (64 hex digits) out of the text of /proc/<pid>/cgroup (cgroups(7), version 1, 2 or both), for
// docker, containerd, CRI-O and podman with either cgroup driver; empty for a process outside. A container's monitor
// (podman's conmon) counts as outside.
std::string ContainerIdFromCgroup(std::string_view cgroup);

}  // namespace flocker
