#include "engine/base/core_dump.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>

#include "engine/base/status.h"

namespace flocker {

absl::Status ForbidCoreDumps() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
    return ErrnoStatus(errno, "cannot forbid core dumps, which would hold CHAP secrets");
  }
  return absl::OkStatus();
}

}  // namespace flocker
