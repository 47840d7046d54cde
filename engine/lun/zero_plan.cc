#include "engine/lun/zero_plan.h"

#include <algorithm>

namespace flocker::lun {

ZeroStep NextZeroStep(const ZeroLimits& limits, uint64_t offset, uint64_t end) {
  const uint64_t shift = limits.granule_offset % limits.granule;
  // The first granule boundary at or after `at`.
  const auto boundary = [&](uint64_t at) {
    return at <= shift ? shift : shift + (at - shift + limits.granule - 1) / limits.granule * limits.granule;
  };
  const uint64_t first = boundary(offset);
  const bool has_granule =
      limits.unmap && limits.max_unmap >= limits.granule && first < end && end - first >= limits.granule;
  if (has_granule && first == offset) {
    const uint64_t most = std::min(end - offset, limits.max_unmap);
    return {true, most / limits.granule * limits.granule};
  }
  const uint64_t stop = has_granule ? first : end;
  return {false, std::min(stop - offset, limits.max_write_same)};
}

}  // namespace flocker::lun
