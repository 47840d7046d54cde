// The store in a RocksDB database. Key layout and what is checked when: README.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/store/acknowledged.h"
#include "engine/store/backup.h"
#include "engine/store/store.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Iterator;
}  // namespace rocksdb

namespace flocker {

class RocksdbLog;

class RocksdbStore final : public Store {
 public:
  // Opens the database in the directory `path`, and makes it (mode 0700: it holds CHAP secrets) when it does not exist.
  // Reads all of it to verify its checksums. FailedPrecondition when another opener has it or when its schema version
  // is not this program's, DataLoss when a byte of it is wrong or an acknowledged commit is missing, kNoSpace when its
  // disk is full; each names the path.
  static absl::StatusOr<std::unique_ptr<RocksdbStore>> Open(const std::string& path);

  ~RocksdbStore() override;
  RocksdbStore(const RocksdbStore&) = delete;
  RocksdbStore& operator=(const RocksdbStore&) = delete;

  // kNoSpace when its disk is full.
  absl::Status Commit(const Batch& batch) override EXCLUDES(mutex_);
  absl::StatusOr<Snapshot> Load() override EXCLUDES(mutex_);
  absl::StatusOr<std::vector<Event>> Events(uint64_t from_seq, size_t limit) override;
  absl::Status TrimEvents(uint64_t keep) override EXCLUDES(mutex_);

  // One more backup of what is committed, in a directory of this machine that is made when it is missing. Blocks as
  // long as copying takes; commits go on meanwhile.
  absl::StatusOr<BackupInfo> Backup(const std::string& directory) EXCLUDES(backup_mutex_);

 private:
  enum Family : size_t { kDefault, kDatasets, kNodes, kEvents, kMeta, kTombstones };

  using Handles = std::vector<std::unique_ptr<rocksdb::ColumnFamilyHandle>>;

  RocksdbStore(std::string path, std::unique_ptr<rocksdb::DB> db, Handles handles, Acknowledged acknowledged);

  static absl::StatusOr<std::unique_ptr<RocksdbStore>> OpenLogged(const std::string& path,
                                                                  const std::shared_ptr<RocksdbLog>& log);
  absl::Status CheckAcknowledged() EXCLUDES(mutex_);
  absl::Status CheckSchema();
  absl::Status ReadLastEvent() EXCLUDES(mutex_);
  absl::Status CheckBatch(const Batch& batch) const REQUIRES(mutex_);
  std::unique_ptr<rocksdb::Iterator> Iterate(Family family) const;
  template <class Visit>
  absl::Status ForEach(Family family, Visit visit) const;
  absl::Status Unreadable(Family family, const std::string& key, const absl::Status& why) const;

  // Constant after Open.
  const std::string path_;
  const std::unique_ptr<rocksdb::DB> db_;
  const Handles handles_;  // by Family; after db_, because they must go before it

  Mutex mutex_;  // held over a write, so that events land in the order of their numbers
  uint64_t last_event_ GUARDED_BY(mutex_) = 0;
  Acknowledged acknowledged_ GUARDED_BY(mutex_);

  Mutex backup_mutex_;  // one backup at a time: a directory takes one writer
};

}  // namespace flocker
