// fio writing a file at random with checksums and reading all of it back: data integrity under whatever a test does
// meanwhile.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {

class Fio {
 public:
  // Starts it: 4 KiB blocks, every one of `file_mib` once, about `iops` a second; with `direct` eight at a time past
  // the page cache, else one at a time with an fsync after each 32. Its output goes to `log`.
  Fio(std::string file, std::string log, int file_mib, int iops, bool direct);
  // SIGKILL when it still runs.
  ~Fio();
  Fio(const Fio&) = delete;
  Fio& operator=(const Fio&) = delete;

  // How much of the file was written so far, 0 to 1: what the filesystem has allocated.
  double Progress() const;
  bool running() const;
  // Waits for its end. An error with its output when an I/O failed or a checksum was wrong, or when it takes longer.
  absl::Status Finish(absl::Duration timeout);

 private:
  const std::string file_;
  const std::string log_;
  const int file_mib_;
  Child child_;
};

}  // namespace flocker::testing
