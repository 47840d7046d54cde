// Splitting a range that must read as zeroes into SCSI commands.
#pragma once

#include <cstdint>

#include "engine/lun/geometry.h"

namespace flocker::lun {

struct ZeroStep {
  bool unmap = false;   // UNMAP, else WRITE SAME
  uint64_t length = 0;  // bytes from the position asked for; never 0
};

// The first command for [offset, end), both multiples of the block size, offset < end. Only whole granules are
// unmapped.
ZeroStep NextZeroStep(const ZeroLimits& limits, uint64_t offset, uint64_t end);

}  // namespace flocker::lun
