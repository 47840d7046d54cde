#include "engine/lun/fuse_request.h"

#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/lun/arena.h"

namespace flocker::lun {
namespace {

template <class T>
std::optional<T> BodyOf(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(fuse_in_header) + sizeof(T)) return std::nullopt;
  T body;
  std::memcpy(&body, bytes.data() + sizeof(fuse_in_header), sizeof body);
  return body;
}

}  // namespace

absl::StatusOr<FuseRequest> ParseFuseRequest(std::span<std::byte> bytes) {
  fuse_in_header header;
  if (bytes.size() < sizeof header) {
    return Refuse(Cause::kInvalid, absl::StrCat("FUSE request of only ", bytes.size(), " bytes"));
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto malformed = [&] {
    return Refuse(Cause::kInvalid, absl::StrCat("malformed FUSE request: opcode ", header.opcode, ", length ",
                                                header.len, " in ", bytes.size(), " bytes"));
  };
  if (header.len != bytes.size()) return malformed();

  FuseRequest request;
  request.opcode = static_cast<fuse_opcode>(header.opcode);
  request.unique = header.unique;
  switch (header.opcode) {
    case FUSE_READ: {
      const auto body = BodyOf<fuse_read_in>(bytes);
      if (!body || body->size > kMaxTransfer) return malformed();
      request.offset = body->offset;
      request.length = body->size;
      break;
    }
    case FUSE_WRITE: {
      const auto body = BodyOf<fuse_write_in>(bytes);
      if (!body || body->size > kMaxTransfer) return malformed();
      request.offset = body->offset;
      request.length = body->size;
      request.payload = bytes.subspan(sizeof header + sizeof *body);
      if (request.payload.size() != body->size) return malformed();
      break;
    }
    case FUSE_FALLOCATE: {
      const auto body = BodyOf<fuse_fallocate_in>(bytes);
      if (!body) return malformed();
      request.offset = body->offset;
      request.length = body->length;
      request.mode = body->mode;
      break;
    }
    default:
      break;
  }
  return request;
}

}  // namespace flocker::lun
