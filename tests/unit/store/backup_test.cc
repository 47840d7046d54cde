#include "engine/store/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/store/rocksdb_store.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;
using testing::ScratchDir;

Dataset Numbered(int n) {
  Dataset dataset;
  dataset.id = *DatasetId::Parse(absl::StrCat("00000000-0000-4000-8000-", absl::Dec(n, absl::kZeroPad12)));
  dataset.name = absl::StrCat("db", n);
  return dataset;
}

class Backup : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = RocksdbStore::Open(scratch_ / "db");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  size_t Restored() {
    std::filesystem::remove_all(scratch_ / "new");
    const auto info = RestoreBackup(scratch_ / "backups", scratch_ / "new");
    EXPECT_TRUE(info.ok()) << info.status();
    const auto store = RocksdbStore::Open(scratch_ / "new");
    if (!store.ok()) ADD_FAILURE() << store.status();
    const auto snapshot = (*store)->Load();
    EXPECT_TRUE(snapshot.ok() && snapshot->meta.contains(kRestoredMeta));
    return snapshot->datasets.size();
  }
  // The one file below the backups whose name has `part` in it and that is not empty.
  std::string FileWith(const std::string& part) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch_ / "backups")) {
      if (entry.is_regular_file() && entry.file_size() > 0 && entry.path().string().find(part) != std::string::npos) {
        return entry.path().string();
      }
    }
    return "";
  }

  ScratchDir scratch_;
  std::unique_ptr<RocksdbStore> store_;
};

TEST_F(Backup, TheNewestIsRestoredAsItWas) {
  ASSERT_TRUE(store_->Commit({.put = {Numbered(1)}}).ok());
  const auto first = store_->Backup(scratch_ / "backups");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Restored(), 1u);
  ASSERT_TRUE(store_->Commit({.put = {Numbered(2), Numbered(3)}}).ok());
  const auto second = store_->Backup(scratch_ / "backups");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_GT(second->number, first->number);
  ASSERT_TRUE(store_->Commit({.put = {Numbered(4)}}).ok());
  EXPECT_EQ(Restored(), 3u);
}

TEST_F(Backup, IsAConsistentMomentOfAStoreInUse) {
  std::atomic<bool> done = false;
  std::thread writer([&] {
    // Two records that always change together.
    for (int n = 1; !done; ++n) {
      Dataset a = Numbered(1);
      Dataset b = Numbered(2);
      a.size = b.size = static_cast<uint64_t>(n);
      EXPECT_TRUE(store_->Commit({.put = {a, b}}).ok());
    }
  });
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(store_->Backup(scratch_ / "backups").ok());
    std::filesystem::remove_all(scratch_ / "new");
    EXPECT_TRUE(RestoreBackup(scratch_ / "backups", scratch_ / "new").ok());
    const auto restored = RocksdbStore::Open(scratch_ / "new").value()->Load();
    if (restored->datasets.size() == 2) {
      EXPECT_EQ(restored->datasets[0].size, restored->datasets[1].size);
    }
  }
  done = true;
  writer.join();
}

TEST_F(Backup, OldOnesAreForgotten) {
  for (uint32_t n = 0; n < kKeptBackups + 3; ++n) {
    ASSERT_TRUE(store_->Commit({.put = {Numbered(static_cast<int>(n))}}).ok());
    ASSERT_TRUE(store_->Backup(scratch_ / "backups").ok());
  }
  const auto metas = std::filesystem::directory_iterator(scratch_ / "backups/meta");
  EXPECT_EQ(std::distance(begin(metas), end(metas)), kKeptBackups);
  EXPECT_EQ(Restored(), kKeptBackups + 3);
}

TEST_F(Backup, IsNotRestoredOverAnything) {
  ASSERT_TRUE(store_->Backup(scratch_ / "backups").ok());
  std::filesystem::create_directory(scratch_ / "new");
  EXPECT_TRUE(RestoreBackup(scratch_ / "backups", scratch_ / "new").ok());
  const auto again = RestoreBackup(scratch_ / "backups", scratch_ / "new");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(again.status().message()), HasSubstr(scratch_ / "new"));
}

TEST_F(Backup, NoBackupIsAClearAnswer) {
  EXPECT_EQ(RestoreBackup(scratch_ / "nothing", scratch_ / "new").status().code(),
            absl::StatusCode::kFailedPrecondition);
  std::filesystem::create_directory(scratch_ / "empty");
  EXPECT_FALSE(RestoreBackup(scratch_ / "empty", scratch_ / "new").ok());
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "new"));
}

TEST_F(Backup, ADamagedOneIsRefusedByNameAndAnOlderOneIsNotTakenForIt) {
  ASSERT_TRUE(store_->Commit({.put = {Numbered(1)}}).ok());
  ASSERT_TRUE(store_->Backup(scratch_ / "backups").ok());
  ASSERT_TRUE(store_->Commit({.put = {Numbered(2)}}).ok());
  ASSERT_TRUE(store_->Backup(scratch_ / "backups").ok());
  for (const char* part : {"private/2/MANIFEST", "meta/2"}) {
    const std::string file = FileWith(part);
    ASSERT_FALSE(file.empty()) << part;
    std::filesystem::copy_file(file, scratch_ / "whole");
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
    const auto restored = RestoreBackup(scratch_ / "backups", scratch_ / "new");
    EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss) << part << ": " << restored.status();
    EXPECT_THAT(std::string(restored.status().message()), HasSubstr(part));
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "new"));
    std::filesystem::rename(scratch_ / "whole", file);
  }
  EXPECT_EQ(Restored(), 2u);
}

}  // namespace
}  // namespace flocker
