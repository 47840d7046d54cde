#include "engine/store/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/endian/conversion.hpp>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/codec.h"
#include "engine/store/rocksdb_log.h"
#include "engine/store/rocksdb_status.h"

namespace flocker {
namespace {

constexpr char kSchemaKey[] = "schema";
constexpr char kSchemaVersion[] = "1";
constexpr char kLastEventKey[] = "last_event";

// In the order of RocksdbStore::Family. RocksDB insists on the first.
constexpr std::array<const char*, 6> kFamilyNames = {"default", "datasets", "nodes", "events", "meta", "tombstones"};

// Big-endian, so that RocksDB's byte order is the order of the numbers.
std::string NumberKey(uint64_t number) {
  std::string key(sizeof number, '\0');
  boost::endian::store_big_u64(reinterpret_cast<unsigned char*>(key.data()), number);
  return key;
}

std::optional<uint64_t> KeyNumber(std::string_view key) {
  if (key.size() != sizeof(uint64_t)) return std::nullopt;
  return boost::endian::load_big_u64(reinterpret_cast<const unsigned char*>(key.data()));
}

// After an error RocksDB stays as it is: its own recovery from a full disk trips over its log's writer (7.8:
// WritableFileWriter's assertion that no error was seen), and only opening anew shows what is on the disk.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* recover) override {
    *recover = false;
  }
};

// Control's state is thousands of small records: modest buffers, few threads and files, little to say in its own log.
rocksdb::DBOptions DatabaseOptions(const std::shared_ptr<RocksdbLog>& log) {
  rocksdb::DBOptions options;
  options.info_log = log;
  options.listeners.push_back(std::make_shared<NoRecovery>());
  options.paranoid_checks = true;
  // A torn tail is a commit that was not acknowledged; any other damage in the log must not pass silently, as it would
  // under the default, which keeps what comes before it.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.max_background_jobs = 2;
  options.max_open_files = 64;
  options.db_write_buffer_size = size_t{16} << 20;
  options.max_total_wal_size = uint64_t{16} << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = size_t{4} << 20;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::string StoreIn(const std::string& path) { return absl::StrCat("the store in ", path); }

// RocksDB does not always name the table whose damage it found.
std::string DamagedTable(const std::string& path) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() != ".sst") continue;
    rocksdb::SstFileReader table{rocksdb::Options()};
    rocksdb::Status status = table.Open(entry.path().string());
    if (status.ok()) status = table.VerifyChecksum(rocksdb::ReadOptions());
    if (!status.ok()) return absl::StrCat(entry.path().string(), " is damaged");
  }
  return "";
}

absl::Status MakePrivateDirectory(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path, 0700));
  if (chmod(path.c_str(), 0700) != 0) return ErrnoStatus(errno, absl::StrCat("chmod 0700 ", path));
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return SyncDirectory(parent.empty() ? "." : parent);
}

}  // namespace

RocksdbStore::RocksdbStore(std::string path, std::unique_ptr<rocksdb::DB> db, Handles handles,
                           Acknowledged acknowledged)
    : path_(std::move(path)),
      db_(std::move(db)),
      handles_(std::move(handles)),
      acknowledged_(std::move(acknowledged)) {}

RocksdbStore::~RocksdbStore() = default;

absl::StatusOr<std::unique_ptr<RocksdbStore>> RocksdbStore::Open(const std::string& path) {
  RETURN_IF_ERROR(MakePrivateDirectory(path));
  const auto log = std::make_shared<RocksdbLog>();
  auto store = OpenLogged(path, log);
  if (!store.ok()) {
    absl::Status status = store.status();
    if (absl::IsDataLoss(status)) {
      if (const std::string table = DamagedTable(path); !table.empty()) status = Annotate(status, table);
    }
    const std::string warnings = log->Collected();
    return warnings.empty() ? status : Annotate(status, absl::StrCat("rocksdb warned: ", warnings));
  }
  log->StopCollecting();
  return store;
}

absl::StatusOr<std::unique_ptr<RocksdbStore>> RocksdbStore::OpenLogged(const std::string& path,
                                                                       const std::shared_ptr<RocksdbLog>& log) {
  ASSIGN_OR_RETURN(Acknowledged acknowledged, Acknowledged::Open(path));
  rocksdb::DBOptions database = DatabaseOptions(log);
  // Where something was acknowledged, nothing is missing: a MANIFEST that lost its end would else lose whole families.
  database.create_if_missing = database.create_missing_column_families = acknowledged.number() == 0;
  // A store of a later version may have more families. RocksDB opens all or nothing, and we want to get as far as the
  // schema version, to name it.
  std::vector<std::string> names(kFamilyNames.begin(), kFamilyNames.end());
  const std::string current = absl::StrCat(path, "/CURRENT");
  if (std::filesystem::exists(current)) {
    std::vector<std::string> present;
    RETURN_IF_ERROR(FromRocksdb(rocksdb::DB::ListColumnFamilies(database, path, &present), StoreIn(path)));
    for (std::string& name : present) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
    if (acknowledged.number() != 0 && present.size() < kFamilyNames.size()) {
      ASSIGN_OR_RETURN(const std::string manifest, ReadFile(current));
      return FromRocksdb(rocksdb::Status::Corruption("families are missing in " + path + "/" + manifest),
                         StoreIn(path));
    }
  } else if (acknowledged.number() != 0) {
    return FromRocksdb(rocksdb::Status::Corruption(current + " is missing"), StoreIn(path));
  }
  const rocksdb::ColumnFamilyOptions options = FamilyOptions(rocksdb::NewLRUCache(size_t{4} << 20));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.reserve(names.size());
  for (const std::string& name : names) families.emplace_back(name, options);

  rocksdb::DB* raw_db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> raw_handles;
  RETURN_IF_ERROR(FromRocksdb(rocksdb::DB::Open(database, path, families, &raw_handles, &raw_db), StoreIn(path)));
  std::unique_ptr<rocksdb::DB> db(raw_db);
  Handles handles(raw_handles.begin(), raw_handles.end());

  std::unique_ptr<RocksdbStore> store(
      new RocksdbStore(path, std::move(db), std::move(handles), std::move(acknowledged)));
  RETURN_IF_ERROR(store->CheckAcknowledged());
  RETURN_IF_ERROR(FromRocksdb(store->db_->VerifyChecksum(), StoreIn(path)));
  RETURN_IF_ERROR(store->CheckSchema());
  RETURN_IF_ERROR(store->ReadLastEvent());
  return store;
}

absl::Status RocksdbStore::CheckAcknowledged() {
  const MutexLock lock(mutex_);
  const uint64_t latest = db_->GetLatestSequenceNumber();
  if (latest >= acknowledged_.number()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      StoreIn(path_), " ends at change ", latest, ", and ", acknowledged_.path(), " says that changes up to ",
      acknowledged_.number(),
      " were acknowledged: the end of its newest .log file is lost. Put a backup back, or rebuild the state with "
      "flocker-control --adopt; to go on with what is there, remove ",
      acknowledged_.path()));
}

absl::Status RocksdbStore::CheckSchema() {
  std::string version;
  const rocksdb::Status found = db_->Get(rocksdb::ReadOptions(), handles_[kDefault].get(), kSchemaKey, &version);
  if (found.ok() && version == kSchemaVersion) return absl::OkStatus();
  if (!found.ok() && !found.IsNotFound()) return FromRocksdb(found, StoreIn(path_));
  bool empty = true;
  for (size_t family = 0; family < handles_.size(); ++family) {
    const auto it = Iterate(static_cast<Family>(family));
    it->SeekToFirst();
    empty = empty && !it->Valid();
  }
  if (found.ok() || !empty) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the store in ", path_, " has schema version ", found.ok() ? absl::CHexEscape(version) : std::string("(none)"),
        " and this program reads version ", kSchemaVersion, ". Run the flocker-control that wrote it"));
  }
  rocksdb::WriteOptions durable;
  durable.sync = true;
  return FromRocksdb(db_->Put(durable, handles_[kDefault].get(), kSchemaKey, kSchemaVersion), StoreIn(path_));
}

absl::Status RocksdbStore::ReadLastEvent() {
  std::string value;
  const rocksdb::Status found = db_->Get(rocksdb::ReadOptions(), handles_[kDefault].get(), kLastEventKey, &value);
  if (found.IsNotFound()) return absl::OkStatus();
  RETURN_IF_ERROR(FromRocksdb(found, StoreIn(path_)));
  const auto number = KeyNumber(value);
  if (!number) return Unreadable(kDefault, kLastEventKey, absl::DataLossError("it is not 8 bytes long"));
  const MutexLock lock(mutex_);
  last_event_ = *number;
  return absl::OkStatus();
}

absl::Status RocksdbStore::CheckBatch(const Batch& batch) const {
  const auto empty = [](const auto& record) { return record.id.empty(); };
  if (std::any_of(batch.put.begin(), batch.put.end(), empty) ||
      std::any_of(batch.put_nodes.begin(), batch.put_nodes.end(), empty)) {
    return absl::InvalidArgumentError("a record without an id cannot be stored");
  }
  uint64_t last = last_event_;
  for (const Event& event : batch.events) {
    if (event.seq <= last) {
      return absl::InvalidArgumentError(absl::StrCat("event ", event.seq, " cannot follow event ", last));
    }
    last = event.seq;
  }
  return absl::OkStatus();
}

absl::Status RocksdbStore::Commit(const Batch& batch) {
  rocksdb::WriteBatch writes;
  const auto put = [&](Family family, const std::string& key, const std::string& value) {
    writes.Put(handles_[family].get(), key, value);
  };
  const auto erase = [&](Family family, const std::string& key) { writes.Delete(handles_[family].get(), key); };

  for (const Dataset& dataset : batch.put) put(kDatasets, dataset.id.str(), ToJson(dataset));
  for (const DatasetId& id : batch.erase) erase(kDatasets, id.str());
  for (const DatasetId& id : batch.tombstones) put(kTombstones, id.str(), "");
  for (const DatasetId& id : batch.erase_tombstones) erase(kTombstones, id.str());
  for (const Node& node : batch.put_nodes) put(kNodes, node.id.str(), ToJson(node));
  for (const NodeId& id : batch.erase_nodes) erase(kNodes, id.str());
  for (const Event& event : batch.events) put(kEvents, NumberKey(event.seq), ToJson(event));
  if (!batch.events.empty()) put(kDefault, kLastEventKey, NumberKey(batch.events.back().seq));
  for (const auto& [key, value] : batch.meta) {
    if (value.empty()) {
      erase(kMeta, key);
    } else {
      put(kMeta, key, value);
    }
  }

  const MutexLock lock(mutex_);
  RETURN_IF_ERROR(CheckBatch(batch));
  rocksdb::WriteOptions durable;
  durable.sync = true;
  RETURN_IF_ERROR(FromRocksdb(db_->Write(durable, &writes), StoreIn(path_)));
  if (!batch.events.empty()) last_event_ = batch.events.back().seq;
  return acknowledged_.Advance(db_->GetLatestSequenceNumber());
}

absl::StatusOr<Snapshot> RocksdbStore::Load() {
  const MutexLock lock(mutex_);  // no commit in between: one consistent state
  Snapshot snapshot;
  snapshot.last_event = last_event_;
  // A record must also be the one its key says: bytes of another would be as wrong as garbage.
  const auto record = [&](auto decode, auto& list) {
    return [decode, &list](const std::string& key, const std::string& value) -> absl::Status {
      ASSIGN_OR_RETURN(auto decoded, decode(value));
      if (decoded.id.str() != key) return absl::DataLossError(absl::StrCat("it is the record of ", decoded.id.str()));
      list.push_back(std::move(decoded));
      return absl::OkStatus();
    };
  };
  RETURN_IF_ERROR(ForEach(kDatasets, record(DatasetFromJson, snapshot.datasets)));
  RETURN_IF_ERROR(ForEach(kNodes, record(NodeFromJson, snapshot.nodes)));
  RETURN_IF_ERROR(ForEach(kTombstones, [&](const std::string& key, const std::string&) -> absl::Status {
    const auto id = DatasetId::Parse(key);
    if (!id) return absl::DataLossError("it is not a UUID");
    snapshot.tombstones.push_back(*id);
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(ForEach(kMeta, [&](const std::string& key, const std::string& value) {
    snapshot.meta[key] = value;
    return absl::OkStatus();
  }));
  return snapshot;
}

absl::StatusOr<std::vector<Event>> RocksdbStore::Events(uint64_t from_seq, size_t limit) {
  std::vector<Event> events;
  const auto it = Iterate(kEvents);
  for (it->Seek(NumberKey(from_seq)); it->Valid() && events.size() < limit; it->Next()) {
    auto event = EventFromJson(it->value().ToStringView());
    if (!event.ok()) return Unreadable(kEvents, it->key().ToString(), event.status());
    events.push_back(*std::move(event));
  }
  RETURN_IF_ERROR(FromRocksdb(it->status(), StoreIn(path_)));
  return events;
}

absl::Status RocksdbStore::TrimEvents(uint64_t keep) {
  const MutexLock lock(mutex_);
  if (last_event_ <= keep) return absl::OkStatus();
  rocksdb::WriteBatch writes;
  writes.DeleteRange(handles_[kEvents].get(), NumberKey(0), NumberKey(last_event_ - keep + 1));
  return FromRocksdb(db_->Write(rocksdb::WriteOptions(), &writes), StoreIn(path_));
}

std::unique_ptr<rocksdb::Iterator> RocksdbStore::Iterate(Family family) const {
  return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(rocksdb::ReadOptions(), handles_[family].get()));
}

template <class Visit>
absl::Status RocksdbStore::ForEach(Family family, Visit visit) const {
  const auto it = Iterate(family);
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::string key = it->key().ToString();
    if (absl::Status status = visit(key, it->value().ToString()); !status.ok()) return Unreadable(family, key, status);
  }
  return FromRocksdb(it->status(), StoreIn(path_));
}

absl::Status RocksdbStore::Unreadable(Family family, const std::string& key, const absl::Status& why) const {
  return absl::DataLossError(absl::StrCat("the store in ", path_, ", key '", absl::CHexEscape(key), "' of ",
                                          kFamilyNames[family], ": ", why.message(),
                                          ". Nothing was changed; put back a copy of that folder"));
}

}  // namespace flocker
