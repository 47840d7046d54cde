// The commands about leases.
#pragma once

#include "engine/ctl/context.h"

namespace flocker {

absl::Status ListLeases(Context& context);
absl::Status AcquireLease(Context& context);
absl::Status ReleaseLease(Context& context);

}  // namespace flocker
