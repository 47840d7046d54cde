// /proc/<pid>/mountinfo (proc(5)): the mounts of a mount namespace, read without touching a filesystem.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace flocker {

struct MountEntry {
  int id = 0;  // unique in the whole kernel while the mount exists
  int parent = 0;
  dev_t device = 0;         // st_dev of the files in it
  std::string root;         // which directory of the filesystem is mounted; ends in "//deleted" when that is gone
  std::string mount_point;  // relative to the root directory of the process whose file was read
  std::string options;      // of the mount
  int shared_group = 0;     // peer group it sends to and receives from; 0 none
  int master_group = 0;     // peer group it only receives from; 0 none
  std::string type;         // "ext4", "fuse.flocker-lun"
  std::string source;
  std::string super_options;  // of the filesystem

  // Whether `option` is one of the filesystem's comma-separated options.
  bool HasSuperOption(std::string_view option) const;
  // The filesystem refuses writes although it was mounted for them: `errors=remount-ro` struck ("ro"), or since Linux
  // 6.15 "emergency_ro" or "shutdown".
  bool WritesFail() const;
};

// Parses a whole mountinfo text, undoing its octal escapes. An error names the line that is not one.
absl::StatusOr<std::vector<MountEntry>> ParseMountInfo(std::string_view text);

// The mounts of this process's namespace.
absl::StatusOr<std::vector<MountEntry>> ReadOwnMounts();

// The topmost mount at exactly `mount_point` in this process's namespace, if there is one.
absl::StatusOr<std::optional<MountEntry>> FindMount(const std::string& mount_point);

// Whether `path` is `directory` or below it. Both absolute, without a trailing slash (but "/" itself).
bool IsAtOrBelow(std::string_view path, std::string_view directory);

}  // namespace flocker
