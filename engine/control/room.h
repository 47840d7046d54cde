// Room on the disk that holds the cluster's state. Operations are refused while little is left, so that what is under
// way can still be recorded to its end.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace flocker {

class Room {
 public:
  // `reserve`: bytes that must be free.
  Room(std::string directory, uint64_t reserve) : directory_(std::move(directory)), reserve_(reserve) {}

  // OK, or kNoSpace with the figures. One statvfs(3): does not block on the disk.
  absl::Status Check() const;
  // Until Check is OK, and for a second at least: nothing announces that somebody makes room.
  void Wait() const;

 private:
  const std::string directory_;
  const uint64_t reserve_;
};

}  // namespace flocker
