// One run of fio, and what it counted.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flocker::bench {

struct FioJob {
  std::string file;  // exists
  std::string rw;    // fio's name of the pattern: randread, randrw, write …
  std::string block = "4k";
  int depth = 1;
  bool direct = true;
  std::vector<std::string> more;  // arguments, such as --fsync=1
  std::string cgroup;             // a directory: in this one; empty: where we are
};

struct FioResult {
  double ios = 0;
  double bytes = 0;
  double seconds = 0;
  double read_p99_us = 0;  // of completions; 0 without reads

  double iops() const { return ios / seconds; }
  double mb_per_s() const { return bytes / seconds / 1e6; }
};

// For `time`, over the file's `size` bytes. Blocks; an error quotes fio.
absl::StatusOr<FioResult> RunFio(const FioJob& job, uint64_t size, absl::Duration time);

}  // namespace flocker::bench
