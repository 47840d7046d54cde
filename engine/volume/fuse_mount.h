// A FUSE mount seen from outside its daemon: cutting it off without the daemon's help (Linux
// Documentation/filesystems/fuse.rst, "control filesystem").
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"

namespace flocker {

// Mounts fusectl at /sys/fs/fuse/connections unless it is there.
absl::Status EnsureFuseControl();

// Aborts the connection behind `device` (st_dev of the FUSE mount): every request, pending and future, fails.
// Idempotent: no connection is a success. Never blocks on the daemon.
absl::Status AbortFuseConnection(dev_t device);

// The same for the FUSE mount at `path`; no mount there is a success.
absl::Status AbortFuseMount(const std::string& path);

// Aborts the connection of the FUSE mount at `path` and detaches the mount lazily. Idempotent, never blocks on the
// daemon. The path itself (the regular file or directory below) stays.
absl::Status DetachFuseMount(const std::string& path);

}  // namespace flocker
