// How far the store's commits were acknowledged, in a file of 8 bytes beside the database.
//
// A log whose end was lost or garbled looks to RocksDB like one that a kill cut short, and it opens without what was
// there. This number tells the two apart: it is written after a commit is on the disk and never synced, so that after
// any crash it is at most the database's own, and a database below it has lost something that somebody relies on.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace flocker {

class Acknowledged {
 public:
  // The file <directory>/acknowledged; made, as 0, when it is missing.
  static absl::StatusOr<Acknowledged> Open(const std::string& directory);

  const std::string& path() const { return path_; }
  uint64_t number() const { return number_; }
  // Survives the end of this process, not that of the machine.
  absl::Status Advance(uint64_t number);

 private:
  Acknowledged(std::string path, unique_fd file, uint64_t number);

  std::string path_;
  unique_fd file_;
  uint64_t number_ = 0;
};

}  // namespace flocker
