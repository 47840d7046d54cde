// What stands where an ext4 superblock would be.
#include <cstdint>
#include <cstdlib>

#include "engine/volume/superblock.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto superblock = flocker::ParseExt4Superblock({data, size});
  if (!superblock) return 0;
  if (superblock->uuid.size() != 36) std::abort();
  flocker::ProbeResult probe{.signature = "ext4", .uuid = superblock->uuid, .ext4 = superblock};
  const auto id = flocker::DatasetId::FromRandomHex("0123456789abcdef0123456789abcdef");
  if (superblock->uuid == id.str()) return 0;
  // Whatever it is, it is not ours.
  if (flocker::DecideFormat(false, probe, id).action != flocker::FormatAction::kRefuse) std::abort();
  if (flocker::DecideFormat(true, probe, id).action != flocker::FormatAction::kRefuse) std::abort();
  return 0;
}
