#include "engine/lun/range.h"

#include <linux/falloc.h>

#include <algorithm>
#include <cerrno>

namespace flocker::lun {

Range RangeOf(const FuseRequest& request, const Geometry& geometry) {
  const uint64_t size = geometry.size();
  const bool keep_size = (request.mode & FALLOC_FL_KEEP_SIZE) != 0;
  if (request.opcode == FUSE_FALLOCATE) {
    const uint32_t what = request.mode & ~static_cast<uint32_t>(FALLOC_FL_KEEP_SIZE);
    if (what != FALLOC_FL_ZERO_RANGE && !(what == FALLOC_FL_PUNCH_HOLE && keep_size)) return {EOPNOTSUPP, 0};
  }
  if (request.offset % geometry.block_size != 0 || request.length % geometry.block_size != 0) return {EINVAL, 0};
  if (request.opcode == FUSE_FALLOCATE && !keep_size) {
    if (request.offset > size || request.length > size - request.offset) return {ENOSPC, 0};
  }
  if (request.offset >= size) return {request.opcode == FUSE_WRITE ? ENOSPC : 0, 0};
  return {0, std::min(request.length, size - request.offset)};
}

}  // namespace flocker::lun
