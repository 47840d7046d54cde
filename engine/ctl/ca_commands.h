// `flockerctl ca`: what flocker-ca was. It makes files and speaks to nobody.
#pragma once

#include "absl/status/status.h"
#include "engine/ctl/context.h"

namespace flocker {

absl::Status CaInit(Context& context);
absl::Status CaControl(Context& context);
absl::Status CaNode(Context& context);
absl::Status CaUser(Context& context);

}  // namespace flocker
