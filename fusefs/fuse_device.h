// /dev/fuse: mounting it, and what libfuse 3.14 does not tell the kernel about us.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "fusefs/request.h"

namespace flocker {

absl::StatusOr<unique_fd> OpenFuse();

// Mounts the tree of `device`, a /dev/fuse, at `mountpoint`, after clearing away what a dead one left there. Not
// through libfuse, whose sessions take a custom I/O only together with a descriptor that is mounted already.
absl::Status MountFuse(const unique_fd& device, const std::string& mountpoint);

// For fuse_session_custom_io of a SessionOwner's session. Answers go through its InFlight, as they are, but for the
// reply to INIT, where it adds what libfuse 3.14 cannot say although it is true of us:
//   FUSE_HANDLE_KILLPRIV_V2  writes take setuid and setgid bits away (they do: credentials.h). Without it the kernel
//                            asks for security.capability before every write and changes modes as a caller who may not;
//   FUSE_PARALLEL_DIROPS     lookups in one directory need not wait for each other (libfuse knows it and forgets it).
// Only what the kernel offered is added.
const fuse_custom_io& DeviceIo();

// Around the processing of each received request, on the thread that processes it: finds out whether it is the INIT.
class InitWatch {
 public:
  explicit InitWatch(const fuse_buf& received);
  ~InitWatch();
  InitWatch(const InitWatch&) = delete;
  InitWatch& operator=(const InitWatch&) = delete;
};

}  // namespace flocker
