// Files that are not, or no longer, what a writer made.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "engine/catalog/layout.h"
#include "engine/catalog/reader.h"
#include "engine/catalog/writer.h"
#include "tests/harness/scratch.h"
#include "tests/unit/catalog/entries.h"

namespace flocker {
namespace {

using catalog::Header;
using testing::MakeChange;
using testing::MakeDataset;
using testing::MakeId;
using testing::MakeNode;

class CatalogDamage : public ::testing::Test {
 protected:
  void SetUp() override {
    auto writer = CatalogWriter::Open(path_, MakeNode(1)).value();
    CatalogChange change = MakeChange(200, 1, 2);
    change.nodes = {MakeNode(2), MakeNode(3)};
    ASSERT_TRUE(writer->Publish(change).ok());
  }

  template <class T>
  void Overwrite(size_t offset, const T& value) const {
    const unique_fd fd(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(pwrite(fd.get(), &value, sizeof(value), static_cast<off_t>(offset)), static_cast<ssize_t>(sizeof(value)));
  }

  void Write(const std::string& content) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc).write(content.data(), static_cast<long>(content.size()));
  }

  absl::StatusCode OpenCode() const { return CatalogReader::Open(path_).status().code(); }

  const testing::ScratchDir scratch_;
  const std::string path_ = scratch_ / "catalog";
};

// Whatever it answers: it returns.
void AskEverything(const CatalogReader& reader) {
  (void)reader.Self();
  (void)reader.version();
  (void)reader.totals();
  (void)reader.Nodes();
  (void)reader.FindNode("node2");
  (void)reader.List(MakeNode(1).id);
  (void)reader.List(NodeId());
  for (uint32_t i = 0; i < 200; i += 20) {
    (void)reader.Find(MakeNode(1).id, absl::StrCat("data", i));
    (void)reader.FindById(MakeId(i));
    (void)reader.FindBySerial(i + 1);
  }
}

TEST_F(CatalogDamage, NothingThereIsNotFound) {
  unlink(path_.c_str());
  EXPECT_EQ(OpenCode(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogDamage, AnotherLayoutIsRefusedWithARemedy) {
  Overwrite(offsetof(Header, layout), catalog::kLayout + 1);
  const absl::Status status = CatalogReader::Open(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("of one release"), absl::string_view::npos) << status;
}

TEST_F(CatalogDamage, AnEarlierBootIsRefusedAndNotAdopted) {
  Overwrite(offsetof(Header, boot_id), std::array<char, 40>{"yesterday"});
  EXPECT_EQ(OpenCode(), absl::StatusCode::kFailedPrecondition);
  const auto writer = CatalogWriter::Open(path_, MakeNode(1)).value();
  EXPECT_EQ(CatalogReader::Open(path_).value()->totals().datasets, 0U);
}

TEST_F(CatalogDamage, AnotherNodesCatalogueIsNotAdopted) {
  const auto writer = CatalogWriter::Open(path_, MakeNode(2)).value();
  EXPECT_EQ(CatalogReader::Open(path_).value()->totals().datasets, 0U);
}

TEST_F(CatalogDamage, ReadersOfAnotherLayoutAreToldToLookAgain) {
  Overwrite(offsetof(Header, layout), catalog::kLayout + 1);
  const unique_fd old(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  const auto writer = CatalogWriter::Open(path_, MakeNode(1)).value();
  uint32_t superseded = 0;
  ASSERT_EQ(pread(old.get(), &superseded, sizeof(superseded), offsetof(Header, superseded)), 4);
  EXPECT_EQ(superseded, 1U);
}

TEST_F(CatalogDamage, AReaderStaysWithTheOldWhenTheNewIsRefusedAndSaysSo) {
  const auto reader = CatalogReader::Open(path_).value();
  auto writer = CatalogWriter::Open(path_, MakeNode(1)).value();
  Overwrite(offsetof(Header, layout), catalog::kLayout + 1);
  EXPECT_EQ(reader->totals().datasets, 200U);
  EXPECT_EQ(reader->Health().code(), absl::StatusCode::kFailedPrecondition);
  writer = CatalogWriter::Open(path_, MakeNode(1)).value();
  EXPECT_EQ(reader->totals().datasets, 0U);
  EXPECT_TRUE(reader->Health().ok()) << reader->Health();
}

TEST_F(CatalogDamage, AWriterThatDiedBetweenMarkAndReplaceHarmsNobody) {
  const auto reader = CatalogReader::Open(path_).value();
  Overwrite(offsetof(Header, superseded), uint32_t{1});
  EXPECT_EQ(reader->totals().datasets, 200U);
  EXPECT_EQ(CatalogReader::Open(path_).value()->totals().datasets, 200U);
  const auto writer = CatalogWriter::Open(path_, MakeNode(1)).value();
  ASSERT_TRUE(writer->Publish({.gone_datasets = {MakeId(0)}}).ok());
  EXPECT_EQ(reader->totals().datasets, 199U);
}

TEST_F(CatalogDamage, AnyTruncationIsRefused) {
  const std::string whole = ReadFile(path_).value();
  for (const size_t size : {size_t{0}, size_t{1}, size_t{15}, sizeof(Header) - 1, sizeof(Header), catalog::kArenaStart,
                            catalog::kArenaStart + 1, size_t{60'000}, whole.size() - 1}) {
    Write(whole.substr(0, size));
    EXPECT_EQ(OpenCode(), absl::StatusCode::kDataLoss) << size;
    EXPECT_TRUE(CatalogWriter::Open(path_, MakeNode(1)).ok()) << size;
  }
}

TEST_F(CatalogDamage, DirectoriesAndGarbageAreRefused) {
  EXPECT_FALSE(CatalogReader::Open(scratch_.path()).ok());
  std::minstd_rand random(1);
  std::string garbage(1 << 20, '\0');
  for (char& c : garbage) c = static_cast<char>(random());
  Write(garbage);
  EXPECT_EQ(OpenCode(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(CatalogWriter::Open(path_, MakeNode(1)).ok());
}

TEST_F(CatalogDamage, ACycleEndsAndIsReported) {
  const auto reader = CatalogReader::Open(path_).value();
  // Every cell-sized place points to itself on both sides.
  const std::string whole = ReadFile(path_).value();
  for (uint32_t at = 1; catalog::kArenaStart + (at + 1) * catalog::kGranule <= whole.size(); ++at) {
    Overwrite(catalog::kArenaStart + at * catalog::kGranule, std::array<uint32_t, 2>{at, at});
  }
  AskEverything(*reader);
  EXPECT_EQ(reader->Health().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CatalogDamage, RandomDamageNeitherCrashesNorHangs) {
  const std::string whole = ReadFile(path_).value();
  const size_t used = catalog::kArenaStart + 100'000;  // of the file, by 200 datasets
  std::minstd_rand random(1);
  for (int round = 0; round < 1500; ++round) {
    std::string damaged = whole;
    for (uint64_t hits = 1 + random() % (round % 3 == 0 ? 2000 : 8); hits > 0; --hits) {
      // Beyond magic and layout; half of it in the header's first fields and the arena, where it matters most.
      const size_t at = 12 + random() % (random() % 4 == 0 ? 100 : used);
      const auto bits = static_cast<uint32_t>(random() % 2 == 0 ? random() : random() % 5000);
      std::memcpy(damaged.data() + at, &bits, 1 + random() % 4);
    }
    Write(damaged);
    const auto reader = CatalogReader::Open(path_);
    if (reader.ok()) AskEverything(**reader);
    if (round % 10 == 0) {
      EXPECT_TRUE(CatalogWriter::Open(path_, MakeNode(1)).ok());
    }
  }
}

}  // namespace
}  // namespace flocker
