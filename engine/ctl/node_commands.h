// The commands about nodes.
#pragma once

#include "engine/ctl/context.h"

namespace flocker {

absl::Status ListNodes(Context& context);
// The node takes no more datasets. With --to those it has and nobody uses are moved there, one after the other; kBusy
// when some could not be.
absl::Status DrainNode(Context& context);
absl::Status UndrainNode(Context& context);
absl::Status RemoveNode(Context& context);

}  // namespace flocker
