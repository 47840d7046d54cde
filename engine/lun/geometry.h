// What a LUN is and what may be asked of it, as it said itself.
#pragma once

#include <cstdint>
#include <string>

namespace flocker::lun {

// How a range may be made to read as zeroes. All in bytes and multiples of the block size.
struct ZeroLimits {
  uint32_t block_size = 512;
  bool unmap = false;           // UNMAP is supported and unmapped blocks read as zeroes (SBC-3: LBPME, LBPU, LBPRZ)
  uint64_t granule = 4096;      // smaller pieces need not be unmapped by an UNMAP, so they would keep their old content
  uint64_t granule_offset = 0;  // the first granule's start
  uint64_t max_unmap = 0;       // of one UNMAP
  uint64_t max_write_same = 0;  // of one WRITE SAME
};

struct Geometry {
  std::string identity;     // the designators of VPD 0x83 that name the logical unit
  uint32_t block_size = 0;  // bytes
  uint64_t blocks = 0;
  uint64_t max_transfer = 0;  // bytes of one READ or WRITE
  ZeroLimits zero;

  uint64_t size() const { return blocks * block_size; }
};

}  // namespace flocker::lun
