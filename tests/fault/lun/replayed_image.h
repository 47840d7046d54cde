// The images that a power cut could have left on the array's disk, made out of the LUN server's write log
// (engine/lun/write_log.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/write_log.h"

namespace flocker::testing {

struct LoggedDeed {
  lun::WriteLogRecord record;
  uint64_t data;  // where in the log the bytes of a write begin
  uint64_t end;   // where in the log the record ends
};

class WriteLogReader {
 public:
  // Reads all headers; a torn end is passed over. DataLoss when it is no such log.
  static absl::StatusOr<WriteLogReader> Open(const std::string& path);

  const std::vector<LoggedDeed>& deeds() const { return deeds_; }
  // The bytes of a write.
  absl::StatusOr<std::string> Data(const LoggedDeed& deed) const;
  // The flushes among the deeds, by index.
  std::vector<size_t> Flushes() const;
  // How many deeds are on the medium for certain after deed `flush`: all that one flush up to it covers.
  size_t Certain(size_t flush) const;

 private:
  explicit WriteLogReader(unique_fd fd) : fd_(std::move(fd)) {}

  unique_fd fd_;
  std::vector<LoggedDeed> deeds_;
};

// A sparse file onto which deeds are replayed, one after the other.
class ReplayedImage {
 public:
  // An empty one of `size` bytes; or a copy of another's present content.
  static absl::StatusOr<ReplayedImage> Make(const std::string& path, uint64_t size);
  absl::StatusOr<ReplayedImage> CopyTo(const std::string& path) const;

  absl::Status Apply(const WriteLogReader& log, const LoggedDeed& deed);
  // Goes on from where the last call ended, up to and without deed `end`.
  absl::Status ApplyUntil(const WriteLogReader& log, size_t end);
  const std::string& path() const { return path_; }

 private:
  ReplayedImage(std::string path, unique_fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  unique_fd fd_;
  size_t next_ = 0;
};

// Does to the image what a mount does (journal, orphans) and checks it: an error names what e2fsck found.
absl::Status CheckFilesystem(const std::string& image);

// Files of the root directory, by `names`, each copied from the image to <directory>/<name>; one that is not in it has
// no copy afterwards.
absl::Status ExtractFiles(const std::string& image, const std::vector<std::string>& names,
                          const std::string& directory);

}  // namespace flocker::testing
