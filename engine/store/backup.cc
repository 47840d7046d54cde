#include "engine/store/backup.h"

#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/utilities/backup_engine.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "engine/store/rocksdb_log.h"
#include "engine/store/rocksdb_status.h"
#include "engine/store/rocksdb_store.h"

namespace flocker {
namespace {

std::string BackupsIn(const std::string& directory) { return absl::StrCat("the backups in ", directory); }

// An older backup is an older state: taking it for the newest would be a guess.
absl::StatusOr<rocksdb::BackupInfo> NewestWhole(const rocksdb::BackupEngineReadOnly& engine,
                                                const std::string& backups) {
  rocksdb::BackupInfo newest;
  std::vector<rocksdb::BackupID> damaged;
  engine.GetCorruptedBackups(&damaged);
  const rocksdb::Status found = engine.GetLatestBackupInfo(&newest);
  if (!found.ok() && !found.IsNotFound()) return FromRocksdb(found, BackupsIn(backups));
  if (!damaged.empty()) {
    const rocksdb::BackupID last = *std::max_element(damaged.begin(), damaged.end());
    if (!found.ok() || last > newest.backup_id) {
      return absl::DataLossError(absl::StrCat("backup ", last, " in ", backups, " (", backups, "/meta/", last,
                                              ") is not whole. Nothing was restored; move that file away to restore "
                                              "the backup before it"));
    }
  }
  if (!found.ok()) return absl::FailedPreconditionError(absl::StrCat("there is no backup in ", backups));
  return newest;
}

absl::Status SyncFilesIn(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const unique_fd file(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || fsync(file.get()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot sync ", entry.path().string()));
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot list ", directory));
  return SyncDirectory(directory);
}

absl::Status MarkRestored(const std::string& path, const BackupInfo& info) {
  ASSIGN_OR_RETURN(const auto store, RocksdbStore::Open(path));
  ASSIGN_OR_RETURN(const Snapshot snapshot, store->Load());
  return store->Commit({.meta = {{kRestoredMeta, absl::StrCat("backup ", info.number, " of ",
                                                              absl::FormatTime(absl::FromUnixSeconds(info.time_s)))}}});
}

}  // namespace

absl::StatusOr<BackupInfo> RocksdbStore::Backup(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  const MutexLock lock(backup_mutex_);
  // RocksDB would make them for everybody, and there are secrets in them. `directory` may be somebody's, and open.
  for (const char* part : {"meta", "private", "shared", "shared_checksum"}) {
    const std::string path = absl::StrCat(directory, "/", part);
    RETURN_IF_ERROR(MakeDirectories(path, 0700));
    if (chmod(path.c_str(), 0700) != 0) return ErrnoStatus(errno, absl::StrCat("cannot close ", path, " to others"));
  }
  RocksdbLog log;
  rocksdb::BackupEngineOptions options(directory);
  options.info_log = &log;
  rocksdb::BackupEngine* raw = nullptr;
  RETURN_IF_ERROR(
      FromRocksdb(rocksdb::BackupEngine::Open(rocksdb::Env::Default(), options, &raw), BackupsIn(directory)));
  const std::unique_ptr<rocksdb::BackupEngine> engine(raw);
  rocksdb::CreateBackupOptions create;
  create.flush_before_backup = true;
  rocksdb::BackupID number = 0;
  RETURN_IF_ERROR(FromRocksdb(engine->CreateNewBackup(create, db_.get(), &number), BackupsIn(directory)));
  // Read again: a backup that cannot be put back is better noticed now.
  RETURN_IF_ERROR(FromRocksdb(engine->VerifyBackup(number, true), BackupsIn(directory)));
  RETURN_IF_ERROR(FromRocksdb(engine->PurgeOldBackups(kKeptBackups), BackupsIn(directory)));
  rocksdb::BackupInfo info;
  RETURN_IF_ERROR(FromRocksdb(engine->GetBackupInfo(number, &info), BackupsIn(directory)));
  return BackupInfo{.number = number, .time_s = info.timestamp, .bytes = info.size};
}

absl::StatusOr<BackupInfo> RestoreBackup(const std::string& backups, const std::string& path) {
  std::error_code error;
  const bool present = std::filesystem::exists(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot look at ", path));
  if (present && !std::filesystem::is_empty(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("will not restore over ", path, ", which is not empty. Move it away first"));
  }
  if (!std::filesystem::is_directory(backups, error)) {
    return absl::FailedPreconditionError(absl::StrCat("there is no directory ", backups, " with backups"));
  }
  RocksdbLog log;
  rocksdb::BackupEngineOptions options(backups);
  options.info_log = &log;
  rocksdb::BackupEngineReadOnly* raw = nullptr;
  RETURN_IF_ERROR(
      FromRocksdb(rocksdb::BackupEngineReadOnly::Open(rocksdb::Env::Default(), options, &raw), BackupsIn(backups)));
  const std::unique_ptr<rocksdb::BackupEngineReadOnly> engine(raw);
  ASSIGN_OR_RETURN(const rocksdb::BackupInfo newest, NewestWhole(*engine, backups));
  RETURN_IF_ERROR(FromRocksdb(engine->VerifyBackup(newest.backup_id, true), BackupsIn(backups)));

  // Elsewhere first, so that a crash on the way leaves nothing that looks like a state.
  const std::string half = absl::StrCat(path, ".restoring");
  std::filesystem::remove_all(half, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot remove ", half));
  RETURN_IF_ERROR(MakeDirectories(half, 0700));
  RETURN_IF_ERROR(
      FromRocksdb(engine->RestoreDBFromBackup(newest.backup_id, half, half), absl::StrCat("restoring to ", half)));
  const BackupInfo info{.number = newest.backup_id, .time_s = newest.timestamp, .bytes = newest.size};
  RETURN_IF_ERROR(MarkRestored(half, info));
  RETURN_IF_ERROR(SyncFilesIn(half));
  if (std::rename(half.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot rename ", half, " to ", path));
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  RETURN_IF_ERROR(SyncDirectory(parent.empty() ? "." : parent));
  return info;
}

}  // namespace flocker
