#include "fusefs/interrupt.h"

namespace flocker {
namespace {

// The id travels as the data pointer: an object there could be gone by the time libfuse calls.
void OnInterrupt(fuse_req_t req, void* data) {
  static_cast<SessionOwner*>(fuse_req_userdata(req))->Interrupted(reinterpret_cast<uintptr_t>(data));
}

}  // namespace

void NotifyOnInterrupt(const Request& request, uint64_t id) {
  fuse_req_interrupt_func(request.raw(), OnInterrupt, reinterpret_cast<void*>(static_cast<uintptr_t>(id)));
}

}  // namespace flocker
