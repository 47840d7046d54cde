// What the file answers by itself: everything but data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/lun/fuse_request.h"
#include "engine/lun/geometry.h"

namespace flocker::lun {

struct FileAnswer {
  enum class Kind { kAnswer, kSilence, kNeedsLun };
  Kind kind = Kind::kAnswer;  // kSilence: the protocol has no reply to this (FORGET, INTERRUPT)
  int error = 0;              // errno
  size_t size = 0;            // of `bytes`
  alignas(8) std::array<std::byte, 128> bytes;

  std::span<const std::byte> data() const { return std::span(bytes).first(size); }
};

// The answer to a request whose bytes are `raw`. The file has one inode, 1, a regular file of the LUN's size, mode
// 0600, whose attributes are never cached: it may grow. `max_background` is how many requests the kernel may send at
// once.
FileAnswer AnswerOf(const FuseRequest& request, std::span<const std::byte> raw, const Geometry& geometry,
                    uint16_t max_background);

}  // namespace flocker::lun
