// Where a request of the kernel's is received, and how a write's payload stays there without being copied.
#pragma once

#include <cstddef>
#include <memory>

#include "fusefs/request.h"

namespace flocker {

// One per receiver thread. libfuse allocates its memory on the first use and after each time it was kept.
class ReceiveBuffer {
 public:
  ReceiveBuffer();
  ~ReceiveBuffer();
  ReceiveBuffer(const ReceiveBuffer&) = delete;
  ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;

  fuse_buf* get() { return &buffer_; }

 private:
  fuse_buf buffer_{};
};

// For the payload of the request that the calling receiver thread is processing: it stays valid as long as the result
// lives. A large one keeps the buffer it is in, a small one is copied.
std::shared_ptr<const char> KeepReceived(const char* data, size_t size);

}  // namespace flocker
