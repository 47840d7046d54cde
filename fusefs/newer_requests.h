// Requests that kernels send and libfuse 3.14 does not know.
#pragma once

#include "fusefs/request.h"

namespace flocker {

// What O_TMPFILE creates has no name; its request comes with this, which no file can have.
constexpr char kNoName[] = "/";

// Around the processing of each received request, on the thread that processes it. Makes it one that libfuse knows
// (linux/fuse.h for the layouts):
//   FUSE_TMPFILE (Linux >= 6.1) is laid out as FUSE_CREATE is, and the name in it is kNoName;
//   FUSE_STATX (>= 6.6)         begins like FUSE_GETATTR, and its reply is of another form, with the time of birth.
class TranslateNewer {
 public:
  explicit TranslateNewer(fuse_buf& received);
  ~TranslateNewer();
  TranslateNewer(const TranslateNewer&) = delete;
  TranslateNewer& operator=(const TranslateNewer&) = delete;
};

// Is the FUSE_GETATTR that this thread is processing a FUSE_STATX?
bool IsStatx();

}  // namespace flocker
