// FUSE_INTERRUPT: the caller of a request got a signal and would rather not wait.
#pragma once

#include <cstdint>

#include "fusefs/request.h"

namespace flocker {

// Whom a session is for: its userdata.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // Every request is kept there, and every answer passes there.
  virtual InFlight& in_flight() = 0;
  // Called with libfuse's lock on the request held: must not answer it here, nor block.
  virtual void Interrupted(uint64_t id) = 0;
};

// From now on an interrupt of the request calls its session's listener with `id`, maybe already within this call. The
// request must not be answered on another thread before this returns.
void NotifyOnInterrupt(const Request& request, uint64_t id);

}  // namespace flocker
