// A writer that numbers its writes, to tell afterwards which of them reached a LUN: several processes write records of
// 4 KiB, past the page cache and durable one by one (O_DIRECT, O_DSYNC), into the slots of one file, again and again.
// After an error it tries on, until it is ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flocker::testing {

class NumberedWriter {
 public:
  static constexpr int kSlots = 512;

  // Makes `file` with all its blocks, then writes until it is destroyed. `mark` tells its records from others'.
  NumberedWriter(const std::string& file, const std::string& mark);
  // SIGKILL. What waits in the kernel for a device ends when the device does.
  ~NumberedWriter();
  NumberedWriter(const NumberedWriter&) = delete;
  NumberedWriter& operator=(const NumberedWriter&) = delete;

  // The highest number of which the file's device said that it is durable.
  uint64_t acknowledged() const;
  // The errno of the first write that failed; 0: none has.
  int error() const;
  // Nothing of it is left, not even in the kernel.
  bool Ended();
  void Kill();

 private:
  struct Shared;
  void Write() const;

  const std::string file_;
  const std::string mark_;
  Shared* shared_;  // between the processes
  std::vector<pid_t> children_;
};

// The highest number with this mark that lies anywhere in a file or on a device; 0 when there is none.
absl::StatusOr<uint64_t> HighestNumber(const std::string& path, const std::string& mark);

// Overwrites every slot of `file` with the numbers 1 to kSlots of another mark; returns when that is durable.
absl::Status FillWith(const std::string& file, const std::string& mark);

}  // namespace flocker::testing
