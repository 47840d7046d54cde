// The one place where a refusal becomes an errno (DESIGN §2's table).
#pragma once

#include "absl/status/status.h"
#include "engine/base/status.h"

namespace flocker {

// EBUSY, EREMOTE, EHOSTDOWN …: what a system call on the tree answers for this cause.
int CauseErrno(Cause cause);

// The same for a status: the errno it remembers when it came from a system call, else its cause's. 0 when it is OK.
int StatusErrno(const absl::Status& status);

}  // namespace flocker
