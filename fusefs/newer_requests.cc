#include "fusefs/newer_requests.h"

#include <linux/fuse.h>

namespace flocker {
namespace {

constexpr uint32_t kFuseStatx = 52;  // FUSE_STATX, in linux/fuse.h since 6.6

thread_local bool is_statx = false;

}  // namespace

TranslateNewer::TranslateNewer(fuse_buf& received) {
  if (received.size < sizeof(fuse_in_header)) return;
  auto* header = static_cast<fuse_in_header*>(received.mem);
  if (header->opcode == FUSE_TMPFILE) header->opcode = FUSE_CREATE;
  is_statx = header->opcode == kFuseStatx;
  if (is_statx) header->opcode = FUSE_GETATTR;
}

TranslateNewer::~TranslateNewer() { is_statx = false; }

bool IsStatx() { return is_statx; }

}  // namespace flocker
