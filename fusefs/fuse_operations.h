// libfuse's table of requests.
#pragma once

#include "fusefs/request.h"

namespace flocker {

// Its userdata is a Filesystem, as a SessionOwner (see session.cc).
//
// Not in it, on purpose: flush (nothing happens at close but what the kernel does itself), locks (the kernel keeps
// them, for this machine, which is the only one that has the dataset), bmap.
const fuse_lowlevel_ops& FuseOperations();

}  // namespace flocker
