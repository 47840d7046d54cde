// Backups of the store, several in one directory, where unchanged tables are kept once (RocksDB's BackupEngine). Made
// while the store works (RocksdbStore::Backup), put back where no store is.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace flocker {

// Key of Snapshot::meta, with a text for people: this state came out of a backup, and nobody has yet made sure that the
// world did not go on without it.
inline constexpr char kRestoredMeta[] = "restored";

// How many a directory keeps; making one more forgets the oldest.
inline constexpr uint32_t kKeptBackups = 16;

struct BackupInfo {
  uint32_t number = 0;  // within its directory
  int64_t time_s = 0;   // wall clock, Unix seconds; for people only
  uint64_t bytes = 0;
};

// Puts the newest backup in `backups` back at `path`, which must be missing or empty: all of it or nothing, durably.
// The state it leaves carries kRestoredMeta. DataLoss, naming the file, when the newest backup is not whole: an older
// one is never taken for it. FailedPrecondition when there is no backup, or something at `path`.
absl::StatusOr<BackupInfo> RestoreBackup(const std::string& backups, const std::string& path);

}  // namespace flocker
