// System calls that wait for a device whatever signal comes, made where nobody minds the wait.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace flocker {

// Runs `call` in a child process that has none of our descriptors above 2 but those in `keep`, and dies with us. A
// thread of ours that waited in the kernel would keep the whole process, with its locks and its ends of FUSE
// connections, from ending when it is killed; and the wait might be for just that. Blocks like `call`; returns its
// result, an errno, 0 for success. `call` may make system calls and use memory, and nothing else: other threads'
// locks stay taken in a forked child, but for malloc's (glibc's fork sees to that).
int CallApart(absl::FunctionRef<int()> call, absl::Span<const int> keep = {});

}  // namespace flocker
