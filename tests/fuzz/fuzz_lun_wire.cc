// Packets on a LUN server's socket, and requests of the kernel as they lie in the arena.
#include <cstdint>
#include <span>
#include <vector>

#include "engine/lun/fuse_request.h"
#include "engine/lun/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto packet = std::as_bytes(std::span(data, size));
  flocker::lun::ParseCommand(packet).IgnoreError();
  flocker::lun::ParseReport(packet).IgnoreError();
  std::vector<std::byte> request(packet.begin(), packet.end());
  flocker::lun::ParseFuseRequest(request).IgnoreError();
  return 0;
}
