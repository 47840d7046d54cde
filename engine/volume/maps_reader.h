// Reading /proc/<pid>/maps of processes that may be stuck. On Linux 6.1 (no more on 6.18) that takes the memory lock,
// and one that waits for a device in the middle of an mmap(2) (ext4 notes the access in the file's inode) holds it for
// as long as the device is silent: a reader would wait with it, whosever the device is.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "engine/base/unique_fd.h"

namespace flocker {

// Reads in a child process, which is killed when it does not come back (the wait for that lock is killable), and
// started when there is something to read. Not for several threads at once.
class MapsReader {
 public:
  // `patience` is what a file may take.
  explicit MapsReader(absl::Duration patience) : patience_(patience) {}
  ~MapsReader();
  MapsReader(const MapsReader&) = delete;
  MapsReader& operator=(const MapsReader&) = delete;

  // The file's content, empty when there is none; nothing when it did not come in time.
  std::optional<std::string> Read(const std::string& path);

 private:
  bool Begin();
  void End();

  const absl::Duration patience_;
  pid_t child_ = -1;
  unique_fd socket_;  // paths go out; what is read comes back in packets, an empty one at the end
};

}  // namespace flocker
