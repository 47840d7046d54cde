// The disk under the store is full: commits say so, nothing that was acknowledged is lost, and opened again with room
// it goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "engine/store/rocksdb_store.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using testing::ScratchDir;

class DiskFull : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(disk_);
    ASSERT_EQ(mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=32m"), 0);
  }
  void TearDown() override { EXPECT_EQ(umount2(disk_.c_str(), MNT_DETACH), 0); }

  void Fill() {
    const unique_fd file(open((disk_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (write(file.get(), block.data(), block.size()) > 0) {
    }
  }
  void MakeRoom() { std::filesystem::remove(disk_ + "/filler"); }

  static Batch Numbered(int n) {
    Dataset dataset;
    dataset.id = *DatasetId::Parse(absl::StrCat("00000000-0000-4000-8000-", absl::Dec(n, absl::kZeroPad12)));
    dataset.name = std::string(2000, 'n');
    return {.put = {dataset}};
  }

  const ScratchDir scratch_;
  const std::string disk_ = scratch_ / "disk";
};

TEST_F(DiskFull, NothingAcknowledgedIsLostAndItGoesOnWithRoom) {
  int acknowledged = 0;
  auto opened = RocksdbStore::Open(disk_ + "/db");
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::unique_ptr<RocksdbStore> store = *std::move(opened);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(store->Commit(Numbered(++acknowledged)).ok());
    Fill();
    absl::Status status;
    while ((status = store->Commit(Numbered(acknowledged + 1))).ok()) ++acknowledged;
    EXPECT_EQ(CauseOf(status), Cause::kNoSpace) << status;
    store.reset();
    opened = RocksdbStore::Open(disk_ + "/db");
    if (opened.ok()) {
      EXPECT_GE((*opened)->Load()->datasets.size(), static_cast<size_t>(acknowledged));
      opened->reset();
    } else {
      EXPECT_EQ(CauseOf(opened.status()), Cause::kNoSpace) << opened.status();
    }
    MakeRoom();
    opened = RocksdbStore::Open(disk_ + "/db");
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
    // The commit that failed may be there all the same.
    EXPECT_GE(store->Load()->datasets.size(), static_cast<size_t>(acknowledged));
    ASSERT_TRUE(store->Commit(Numbered(++acknowledged)).ok());
    EXPECT_EQ(store->Load()->datasets.size(), static_cast<size_t>(acknowledged));
  }
  store.reset();
  opened = RocksdbStore::Open(disk_ + "/db");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->Load()->datasets.size(), static_cast<size_t>(acknowledged));
}

}  // namespace
}  // namespace flocker
