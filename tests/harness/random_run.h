// Seeds for a test of random operations, for as long as it is to run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace flocker::testing {

// Counts seeds up from FLOCKER_TREE_SEED (default 1) until FLOCKER_TREE_SECONDS (default 5) have passed; the first
// always runs. With FLOCKER_TREE_SEED set and no seconds, that seed alone.
class RandomRun {
 public:
  explicit RandomRun(std::string command);
  ~RandomRun();  // says how many seeds there were
  RandomRun(const RandomRun&) = delete;
  RandomRun& operator=(const RandomRun&) = delete;

  std::optional<uint64_t> Next();
  // The command that runs the present seed again.
  std::string Replay() const;

 private:
  const std::string command_;
  const absl::Time begun_;
  absl::Duration length_;
  uint64_t first_ = 1;
  uint64_t next_ = 1;
};

}  // namespace flocker::testing
