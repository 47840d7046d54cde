// What the kernel asks of the file, out of the bytes of one FUSE request (linux/fuse.h, fuse(4)).
#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace flocker::lun {

struct FuseRequest {
  fuse_opcode opcode = FUSE_INIT;
  uint64_t unique = 0;           // names the request in its reply
  uint64_t offset = 0;           // READ, WRITE, FALLOCATE: bytes
  uint64_t length = 0;           // READ, WRITE, FALLOCATE: bytes
  uint32_t mode = 0;             // FALLOCATE: FALLOC_FL_*
  std::span<std::byte> payload;  // WRITE: `length` bytes, within the request
};

// Takes exactly one request, as read(2) on /dev/fuse returns it. InvalidArgument when lengths do not fit, or a READ or
// WRITE is over kMaxTransfer, which INIT's answer forbids. Of other opcodes only the header is looked at.
absl::StatusOr<FuseRequest> ParseFuseRequest(std::span<std::byte> bytes);

}  // namespace flocker::lun
