// The commands that say what happened, and why.
#pragma once

#include "engine/ctl/context.h"

namespace flocker {

absl::Status Why(Context& context);
// Every event that is kept, or those from a number on; with --follow until it is ended.
absl::Status Events(Context& context);
// What happens from now on, to one dataset or to all, until it is ended.
absl::Status Watch(Context& context);

}  // namespace flocker
