// A machine's data disk as a real one behaves: writes land in a volatile cache, FLUSH makes them permanent, and losing
// power loses the rest. nbdkit's `cache` filter is that cache (nbdkit-cache-filter(1), writeback: nothing reaches the
// file but by a flush), so killing nbdkit is the power cut of the disk.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "lab/process.h"

namespace flocker::lab {

class Disk {
 public:
  // `dir`/data.img keeps what is permanent; it is made sparse on the first PowerOn.
  Disk(std::string dir, uint64_t bytes) : dir_(std::move(dir)), bytes_(bytes) {}

  // Serves the disk at socket(); returns when it does.
  absl::Status PowerOn();
  // Everything that was not flushed is lost.
  void PowerOff();

  std::string socket() const { return dir_ + "/disk.sock"; }

 private:
  const std::string dir_;
  const uint64_t bytes_;
  Process server_;
};

}  // namespace flocker::lab
