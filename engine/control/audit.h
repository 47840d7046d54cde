// Who asked for something, as events say it.
#pragma once

#include <string>

#include "engine/rpc/flocker.pb.h"

namespace flocker {

// "by uid 0 pid 12 through flockerctl".
std::string Audit(const rpc::Caller& caller);

}  // namespace flocker
