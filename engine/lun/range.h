// Which part of a request the LUN can serve.
#pragma once

#include <cstdint>

#include "engine/lun/fuse_request.h"
#include "engine/lun/geometry.h"

namespace flocker::lun {

struct Range {
  int error = 0;        // errno: the request is refused
  uint64_t length = 0;  // bytes to be done from the request's offset
};

// READ, WRITE and FALLOCATE, clipped at the LUN's end like a block device. EINVAL what is not aligned to blocks: the
// loop device in front is set up with the LUN's block size and never sends that. ENOSPC what begins (or would allocate)
// past the end. EOPNOTSUPP an FALLOCATE that is neither punch-hole nor zero-range.
Range RangeOf(const FuseRequest& request, const Geometry& geometry);

}  // namespace flocker::lun
