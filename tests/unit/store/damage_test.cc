// A store with a wrong byte, or without what was acknowledged, is refused by the name of the file; it is never opened
// as something else.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/store/rocksdb_store.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::ScratchDir;

constexpr int kDatasets = 20;

DatasetId Id(int n) {
  return *DatasetId::Parse(absl::StrCat("00000000-0000-4000-8000-", absl::Dec(n, absl::kZeroPad12)));
}

// As a killed process leaves it: the last commits are in the log alone.
void MakeStore(const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    const auto store = RocksdbStore::Open(path);
    for (int n = 1; store.ok() && n <= kDatasets; ++n) {
      Dataset dataset;
      dataset.id = Id(n);
      dataset.name = "name";
      if (!(*store)->Commit({.put = {dataset}}).ok()) _exit(1);
    }
    _exit(store.ok() ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

std::vector<std::string> Files(const std::string& directory, const std::string& beginning, const std::string& end) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, beginning) && absl::EndsWith(name, end) && entry.file_size() > 0) found.push_back(name);
  }
  return found;
}

// Opens a copy of the store at `path` with byte `at` of `file` flipped.
absl::Status OpenDamaged(const std::string& path, const std::string& file, uint64_t at, const std::string& copy) {
  std::filesystem::remove_all(copy);
  std::filesystem::copy(path, copy);
  {
    std::fstream bytes(absl::StrCat(copy, "/", file), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(bytes.get() ^ 0x10);
    bytes.seekp(static_cast<std::streamoff>(at));
    bytes.put(byte);
    if (!bytes.good()) return absl::OkStatus();
  }
  const auto store = RocksdbStore::Open(copy);
  if (!store.ok()) return store.status();
  const auto snapshot = (*store)->Load();
  if (!snapshot.ok()) return snapshot.status();
  // Where the byte means nothing, as in a number that only names a session, what was acknowledged must be there.
  if (snapshot->datasets.size() != kDatasets) {
    ADD_FAILURE() << file << ", byte " << at << ": opened with " << snapshot->datasets.size() << " datasets";
  }
  return absl::OkStatus();
}

struct Kind {
  const char* name;
  const char* beginning;
  const char* end;
  bool tables;
};
class StoreDamage : public ::testing::TestWithParam<Kind> {};

TEST_P(StoreDamage, IsRefusedByName) {
  const ScratchDir scratch;
  MakeStore(scratch / "db");
  // Recovery moves the log into tables, which the next MANIFEST lists.
  if (GetParam().tables) {
    ASSERT_TRUE(RocksdbStore::Open(scratch / "db").ok());
  }
  const std::vector<std::string> files = Files(scratch / "db", GetParam().beginning, GetParam().end);
  ASSERT_FALSE(files.empty());
  int opened = 0;
  int refused = 0;
  for (const std::string& file : files) {
    const uint64_t size = std::filesystem::file_size(absl::StrCat(scratch / "db/", file));
    const uint64_t step = std::max<uint64_t>(1, size / 40);
    for (uint64_t at = 0; at < size; at += step) {
      const absl::Status status = OpenDamaged(scratch / "db", file, at, scratch / "copy");
      ++(status.ok() ? opened : refused);
      if (status.ok()) continue;
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << file << ", byte " << at << ": " << status;
      EXPECT_THAT(std::string(status.message()), AnyOf(HasSubstr(file), HasSubstr("newest .log file")))
          << file << ", byte " << at;
    }
  }
  EXPECT_GT(refused, opened) << "most bytes mean something";
}

INSTANTIATE_TEST_SUITE_P(EveryKindOfFile, StoreDamage,
                         ::testing::Values(Kind{"Log", "", ".log", false}, Kind{"Table", "", ".sst", true},
                                           Kind{"ManifestOfLogs", "MANIFEST-", "", false},
                                           Kind{"ManifestOfTables", "MANIFEST-", "", true},
                                           Kind{"Current", "CURRENT", "", false}),
                         [](const auto& which) { return which.param.name; });

TEST(StoreDamageOfItsEnd, ALogThatLostItsEndIsNotATornTail) {
  const ScratchDir scratch;
  MakeStore(scratch / "db");
  const std::string log = absl::StrCat(scratch / "db/", Files(scratch / "db", "", ".log").at(0));
  const uint64_t size = std::filesystem::file_size(log);
  for (const uint64_t lost : {uint64_t{1}, uint64_t{40}, size / 2}) {
    std::filesystem::remove_all(scratch / "copy");
    std::filesystem::copy(scratch / "db", scratch / "copy");
    std::filesystem::resize_file(absl::StrCat(scratch / "copy/", std::filesystem::path(log).filename().string()),
                                 size - lost);
    for (int again = 0; again < 2; ++again) {
      const auto store = RocksdbStore::Open(scratch / "copy");
      EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << lost << " bytes: " << store.status();
      EXPECT_THAT(std::string(store.status().message()), HasSubstr(scratch / "copy/acknowledged"));
    }
  }
}

TEST(StoreDamageOfItsEnd, WhatWasNeverAcknowledgedMayBeTorn) {
  const ScratchDir scratch;
  MakeStore(scratch / "db");
  const std::string log = absl::StrCat(scratch / "db/", Files(scratch / "db", "", ".log").at(0));
  std::ofstream(log, std::ios::app | std::ios::binary) << "half of a";
  const auto store = RocksdbStore::Open(scratch / "db");
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->Load()->datasets.size(), static_cast<size_t>(kDatasets));
}

TEST(StoreDamageOfItsEnd, AStoreWithoutItsPointerIsNotANewOne) {
  const ScratchDir scratch;
  MakeStore(scratch / "db");
  std::filesystem::remove(scratch / "db/CURRENT");
  EXPECT_EQ(RocksdbStore::Open(scratch / "db").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace flocker
