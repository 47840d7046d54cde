// Who asked, for the audit of an operation.
#pragma once

#include "engine/rpc/flocker.pb.h"
#include "fusefs/request.h"

namespace flocker {

// uid, gid, pid, and the container that the process's cgroup names.
rpc::Caller DescribeCaller(const Request& request);

// Is it Docker's daemon, which makes the source of a bind mount when it is not there?
bool IsDockerd(const Request& request);

// Has the caller CAP_SYS_ADMIN in this machine's own user namespace? False when that cannot be known any more.
bool MayAdminister(const Request& request);

}  // namespace flocker
