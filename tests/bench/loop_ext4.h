// ext4 on a loop device over any file: what Flocker makes of a LUN's file, made of a peer's.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/volume/loop.h"

namespace flocker::bench {

class LoopExt4 {
 public:
  enum class Content { kNew, kKept };
  // Attaches, makes the filesystem unless it is there, and mounts it at `path`, which it creates.
  static absl::StatusOr<LoopExt4> Make(const std::string& file, const std::string& path, Content content,
                                       bool direct_io);
  LoopExt4(LoopExt4&& other) noexcept;
  LoopExt4& operator=(LoopExt4&&) = delete;
  // Unmounts and detaches.
  ~LoopExt4();

  // Whether the loop device goes past the file's page cache, many requests at a time; else it is one after the other.
  absl::Status SetDirectIo(bool direct_io);

 private:
  LoopExt4(ScopedLoop loop, std::string path) : loop_(std::move(loop)), path_(std::move(path)) {}

  ScopedLoop loop_;
  std::string path_;  // empty: moved from
};

}  // namespace flocker::bench
