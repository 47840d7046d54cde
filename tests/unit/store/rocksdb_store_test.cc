#include "engine/store/rocksdb_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ScratchDir;

DatasetId Id(int n) {
  return *DatasetId::Parse(absl::StrCat("00000000-0000-4000-8000-", absl::Dec(n, absl::kZeroPad12)));
}
NodeId ANode(int n) { return *NodeId::Parse(Id(n).str()); }

Dataset Named(int n, const std::string& name) {
  Dataset dataset;
  dataset.id = Id(n);
  dataset.name = name;
  return dataset;
}

Event Numbered(uint64_t seq) {
  Event event;
  event.seq = seq;
  event.message = absl::StrCat("event ", seq);
  return event;
}

std::unique_ptr<RocksdbStore> OpenOrDie(const std::string& path) {
  auto store = RocksdbStore::Open(path);
  if (!store.ok()) ADD_FAILURE() << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

std::vector<uint64_t> Sequence(Store& store, uint64_t from, size_t limit) {
  std::vector<uint64_t> numbers;
  const auto events = store.Events(from, limit);
  EXPECT_TRUE(events.ok()) << events.status();
  for (const Event& event : events.value_or(std::vector<Event>())) numbers.push_back(event.seq);
  return numbers;
}

TEST(RocksdbStore, ANewStoreIsEmptyAndPrivate) {
  const ScratchDir scratch;
  const auto store = OpenOrDie(scratch / "a/b");
  const auto snapshot = store->Load();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_TRUE(snapshot->datasets.empty() && snapshot->nodes.empty() && snapshot->meta.empty());
  EXPECT_EQ(snapshot->last_event, 0u);
  struct stat info {};
  ASSERT_EQ(stat((scratch / "a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(RocksdbStore, LoadsWhatWasCommittedAlsoAfterReopening) {
  const ScratchDir scratch;
  auto store = OpenOrDie(scratch / "db");
  const Node node{ANode(7), "alpha", "10.0.0.1", "boot"};
  ASSERT_TRUE(store
                  ->Commit({.put = {Named(1, "a"), Named(2, "b"), Named(3, "c")},
                            .tombstones = {Id(9)},
                            .put_nodes = {node, {ANode(8), "beta", "", ""}},
                            .meta = {{"cluster", "x"}, {"gone", "y"}}})
                  .ok());
  ASSERT_TRUE(store
                  ->Commit({.put = {Named(2, "b2")},
                            .erase = {Id(1)},
                            .tombstones = {Id(1)},
                            .erase_tombstones = {Id(9)},
                            .erase_nodes = {ANode(8)},
                            .events = {Numbered(1)},
                            .meta = {{"gone", ""}}})
                  .ok());
  for (int i = 0; i < 2; ++i) {
    const auto snapshot = store->Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    EXPECT_THAT(snapshot->datasets, ElementsAre(Named(2, "b2"), Named(3, "c")));
    EXPECT_THAT(snapshot->nodes, ElementsAre(node));
    EXPECT_THAT(snapshot->tombstones, ElementsAre(Id(1)));
    EXPECT_EQ(snapshot->meta, (std::map<std::string, std::string>{{"cluster", "x"}}));
    EXPECT_EQ(snapshot->last_event, 1u);
    store.reset();
    store = OpenOrDie(scratch / "db");
  }
}

TEST(RocksdbStore, EventsComeInOrderAndAreTrimmedFromTheOldEnd) {
  const ScratchDir scratch;
  auto store = OpenOrDie(scratch / "db");
  Batch batch;
  for (uint64_t seq = 1; seq <= 600; ++seq) batch.events.push_back(Numbered(seq));
  ASSERT_TRUE(store->Commit(batch).ok());
  EXPECT_THAT(Sequence(*store, 0, 3), ElementsAre(1, 2, 3));
  EXPECT_THAT(Sequence(*store, 255, 4), ElementsAre(255, 256, 257, 258));
  EXPECT_EQ((*store->Events(600, 1))[0], Numbered(600));
  ASSERT_TRUE(store->TrimEvents(2).ok());
  EXPECT_THAT(Sequence(*store, 0, 10), ElementsAre(599, 600));
  ASSERT_TRUE(store->TrimEvents(1000).ok());
  ASSERT_TRUE(store->TrimEvents(0).ok());
  EXPECT_THAT(Sequence(*store, 0, 10), ElementsAre());
  store.reset();
  store = OpenOrDie(scratch / "db");
  EXPECT_EQ(store->Load()->last_event, 600u);
}

TEST(RocksdbStore, RefusesABatchWithoutWritingAnyOfIt) {
  const ScratchDir scratch;
  const auto store = OpenOrDie(scratch / "db");
  ASSERT_TRUE(store->Commit({.events = {Numbered(5)}}).ok());
  const Batch repeated{.put = {Named(1, "a")}, .events = {Numbered(6), Numbered(6)}};
  EXPECT_EQ(store->Commit(repeated).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store->Commit({.put = {Named(1, "a"), Dataset()}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(store->Load()->datasets.empty());
  EXPECT_THAT(Sequence(*store, 0, 10), ElementsAre(5));
}

TEST(RocksdbStore, ASecondOpenerIsRefused) {
  const ScratchDir scratch;
  const auto store = OpenOrDie(scratch / "db");
  const auto second = RocksdbStore::Open(scratch / "db");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(scratch / "db"));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("Another flocker-control is using it"));
  EXPECT_TRUE(store->Commit({.put = {Named(1, "a")}}).ok());
}

// What another version might leave: changed behind the store's back.
void WithRawDatabase(const std::string& path, const std::function<void(rocksdb::DB&)>& change,
                     const std::vector<std::string>& extra = {}) {
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), path, &names).ok());
  names.insert(names.end(), extra.begin(), extra.end());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  rocksdb::DBOptions options;
  options.create_missing_column_families = true;
  rocksdb::DB* raw = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  ASSERT_TRUE(rocksdb::DB::Open(options, path, families, &handles, &raw).ok());
  const std::unique_ptr<rocksdb::DB> db(raw);
  change(*db);
  for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
}

TEST(RocksdbStore, AnotherSchemaVersionIsRefusedByName) {
  const ScratchDir scratch;
  OpenOrDie(scratch / "db").reset();
  WithRawDatabase(scratch / "db",
                  [](rocksdb::DB& db) { ASSERT_TRUE(db.Put(rocksdb::WriteOptions(), "schema", "2").ok()); },
                  {"leases"});
  const auto store = RocksdbStore::Open(scratch / "db");
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("schema version 2"));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr(scratch / "db"));
}

TEST(RocksdbStore, AStoreWithoutAVersionButWithContentIsRefused) {
  const ScratchDir scratch;
  OpenOrDie(scratch / "db")->Commit({.put = {Named(1, "a")}}).IgnoreError();
  WithRawDatabase(scratch / "db",
                  [](rocksdb::DB& db) { ASSERT_TRUE(db.Delete(rocksdb::WriteOptions(), "schema").ok()); });
  EXPECT_EQ(RocksdbStore::Open(scratch / "db").status().code(), absl::StatusCode::kFailedPrecondition);
}

void FlipByte(const std::string& path, uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const auto byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
  ASSERT_TRUE(file.good());
}

std::vector<std::string> FilesEnding(const std::string& directory, const std::string& suffix) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == suffix && entry.file_size() > 0) found.push_back(entry.path().string());
  }
  return found;
}

TEST(RocksdbStore, AFlippedByteInItsTablesIsRefusedByName) {
  const ScratchDir scratch;
  OpenOrDie(scratch / "db")->Commit({.put = {Named(1, "a"), Named(2, "b")}, .events = {Numbered(1)}}).IgnoreError();
  OpenOrDie(scratch / "db").reset();  // recovery moves the log into tables
  const std::vector<std::string> tables = FilesEnding(scratch / "db", ".sst");
  ASSERT_FALSE(tables.empty());
  for (const std::string& table : tables) {
    FlipByte(table, 10);
    const auto store = RocksdbStore::Open(scratch / "db");
    ASSERT_FALSE(store.ok()) << table;
    EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
    EXPECT_THAT(std::string(store.status().message()), HasSubstr(table));
    FlipByte(table, 10);
  }
  EXPECT_EQ(OpenOrDie(scratch / "db")->Load()->datasets.size(), 2u);
}

TEST(RocksdbStore, AFlippedByteInItsLogIsRefusedByName) {
  const ScratchDir scratch;
  {
    const auto store = OpenOrDie(scratch / "db");
    for (int n = 1; n <= 20; ++n) ASSERT_TRUE(store->Commit({.put = {Named(n, "name")}}).ok());
  }
  const std::vector<std::string> logs = FilesEnding(scratch / "db", ".log");
  ASSERT_EQ(logs.size(), 1u);
  const uint64_t size = std::filesystem::file_size(logs[0]);
  for (uint64_t at = size / 4; at < size / 2; at += 97) {
    const std::string copy = scratch / absl::StrCat("copy-", at);
    std::filesystem::copy(scratch / "db", copy);
    const std::string log = absl::StrCat(copy, "/", std::filesystem::path(logs[0]).filename().string());
    FlipByte(log, at);
    const auto store = RocksdbStore::Open(copy);
    EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << "byte " << at << ": " << store.status();
    EXPECT_THAT(std::string(store.status().message()), HasSubstr(log));
  }
}

// A child commits numbered batches and writes each acknowledged number into the pipe, until it is killed.
[[noreturn]] void CommitForEver(const std::string& path, int first, int report) {
  const auto store = RocksdbStore::Open(path);
  if (!store.ok()) _exit(1);
  for (int n = first;; ++n) {
    const auto number = static_cast<uint64_t>(n);
    if (!(*store)
             ->Commit({.put = {Named(n, "n")}, .events = {Numbered(number)}, .meta = {{"n", absl::StrCat(n)}}})
             .ok()) {
      _exit(2);
    }
    if (write(report, &n, sizeof n) != sizeof n) _exit(3);
  }
}

TEST(RocksdbStore, NothingAcknowledgedIsLostWhenItsProcessIsKilled) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer cannot follow threads that begin in a forked child";
#endif
  const ScratchDir scratch;
  int last = 0;
  for (int round = 0; round < 5; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const unique_fd reader(ends[0]);
    unique_fd writer(ends[1]);
    const pid_t child = fork();
    if (child == 0) CommitForEver(scratch / "db", last + 1, writer.get());
    writer.reset();
    const int enough = last + 40 + round;
    int n = 0;
    while (last < enough && read(reader.get(), &n, sizeof n) == sizeof n) last = n;
    kill(child, SIGKILL);
    while (read(reader.get(), &n, sizeof n) == sizeof n) last = n;  // acknowledged before it died
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    ASSERT_GE(last, enough);

    const auto store = OpenOrDie(scratch / "db");
    const auto snapshot = store->Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    // One more may be durable than was reported; a batch is there with all its parts or not at all.
    const auto count = static_cast<int>(snapshot->datasets.size());
    EXPECT_TRUE(count == last || count == last + 1) << count << " of " << last;
    EXPECT_EQ(snapshot->meta.at("n"), absl::StrCat(count));
    EXPECT_EQ(snapshot->last_event, static_cast<uint64_t>(count));
    EXPECT_EQ(Sequence(*store, 0, 100000).size(), snapshot->datasets.size());
    last = count;
  }
}

}  // namespace
}  // namespace flocker
