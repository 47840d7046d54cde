// What a reader is told of what a writer publishes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <memory>

#include "engine/base/status.h"
#include "engine/catalog/reader.h"
#include "engine/catalog/writer.h"
#include "tests/harness/scratch.h"
#include "tests/unit/catalog/entries.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kSlowdown;
using testing::MakeChange;
using testing::MakeDataset;
using testing::MakeId;
using testing::MakeNode;
using ::testing::Optional;

class Catalog : public ::testing::Test {
 protected:
  void SetUp() override {
    Restart();
    auto reader = CatalogReader::Open(path_);
    ASSERT_TRUE(reader.ok()) << reader.status();
    reader_ = *std::move(reader);
  }

  // As the agent does: a new writer over what the last one left.
  void Restart() {
    writer_.reset();
    auto writer = CatalogWriter::Open(path_, self_);
    ASSERT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
  }

  void Publish(const CatalogChange& change) {
    const absl::Status status = writer_->Publish(change);
    ASSERT_TRUE(status.ok()) << status;
  }

  const testing::ScratchDir scratch_;
  const std::string path_ = scratch_ / "catalog";
  const CatalogNode self_ = MakeNode(1);
  std::unique_ptr<CatalogWriter> writer_;
  std::unique_ptr<CatalogReader> reader_;
};

TEST_F(Catalog, BeginsWithSelf) {
  EXPECT_EQ(reader_->Self(), self_);
  EXPECT_THAT(reader_->Nodes(), ElementsAre(self_));
  EXPECT_THAT(reader_->List(self_.id), IsEmpty());
}

TEST_F(Catalog, GivesBackEveryField) {
  CatalogDataset dataset = MakeDataset(7, 1, 1235);
  dataset.name = std::string(128, 'n');
  dataset.error = std::string(kMaxCatalogError, 'x');
  Publish({.datasets = {dataset}});
  EXPECT_THAT(reader_->Find(self_.id, dataset.name), Optional(dataset));
  EXPECT_THAT(reader_->FindById(dataset.id), Optional(dataset));
  EXPECT_THAT(reader_->FindBySerial(dataset.serial), Optional(dataset));
  EXPECT_THAT(reader_->List(self_.id), ElementsAre(dataset));
}

TEST_F(Catalog, CutsALongErrorAndKnowsItWhenItComesAgain) {
  CatalogDataset dataset = MakeDataset(7, 1, 2);
  dataset.error = std::string(1000, 'x');
  Publish({.datasets = {dataset}});
  EXPECT_EQ(reader_->FindById(dataset.id)->error, std::string(kMaxCatalogError, 'x'));
  const uint64_t version = writer_->version();
  Publish({.datasets = {dataset}});
  EXPECT_EQ(writer_->version(), version);
}

TEST_F(Catalog, FindsNothingThatIsNotThere) {
  Publish({.datasets = {MakeDataset(7, 1, 2)}});
  EXPECT_EQ(reader_->Find(self_.id, "data"), std::nullopt);
  EXPECT_EQ(reader_->Find(self_.id, "data77"), std::nullopt);
  EXPECT_EQ(reader_->Find(self_.id, ""), std::nullopt);
  EXPECT_EQ(reader_->Find(self_.id, std::string(4096, 'd')), std::nullopt);
  EXPECT_EQ(reader_->Find(MakeNode(2).id, "data7"), std::nullopt);
  EXPECT_EQ(reader_->FindById(MakeId(8)), std::nullopt);
  EXPECT_EQ(reader_->FindBySerial(0), std::nullopt);
  EXPECT_EQ(reader_->FindNode("node"), std::nullopt);
}

TEST_F(Catalog, ListsByNameAndOnlyThatNode) {
  Publish({.nodes = {MakeNode(2)}, .datasets = {MakeDataset(3, 1, 2), MakeDataset(1, 1, 2), MakeDataset(2, 2, 2)}});
  EXPECT_THAT(reader_->List(self_.id), ElementsAre(MakeDataset(1, 1, 2), MakeDataset(3, 1, 2)));
  EXPECT_EQ(reader_->totals().datasets, 3U);
  EXPECT_EQ(reader_->totals().nodes, 2U);
}

TEST_F(Catalog, AMoveLeavesNothingBehind) {
  Publish({.nodes = {MakeNode(2)}, .datasets = {MakeDataset(5, 1, 4)}});
  const CatalogDataset moved = MakeDataset(5, 2, 5);
  Publish({.datasets = {moved}});
  EXPECT_EQ(reader_->Find(self_.id, "data5"), std::nullopt);
  EXPECT_THAT(reader_->List(self_.id), IsEmpty());
  EXPECT_THAT(reader_->List(MakeNode(2).id), ElementsAre(moved));
  EXPECT_EQ(reader_->totals().datasets, 1U);
}

TEST_F(Catalog, TwoDatasetsSwapNamesInOneChange) {
  CatalogDataset a = MakeDataset(1, 1, 2);
  CatalogDataset b = MakeDataset(2, 1, 2);
  Publish({.datasets = {a, b}});
  std::swap(a.name, b.name);
  Publish({.datasets = {a, b}});
  EXPECT_THAT(reader_->List(self_.id), ElementsAre(b, a));
}

TEST_F(Catalog, TheTrashHoldsManyOfOneName) {
  CatalogDataset a = MakeDataset(1, 1, 2);
  CatalogDataset b = MakeDataset(2, 1, 2);
  a.node = b.node = NodeId();
  b.name = a.name;
  Publish({.datasets = {a, b}});
  EXPECT_THAT(reader_->List(NodeId()), ElementsAre(a, b));
}

TEST_F(Catalog, ASerialIsFoundOnlyWhileItIsMounted) {
  CatalogDataset dataset = MakeDataset(1, 1, 2);
  Publish({.datasets = {dataset}});
  const uint32_t serial = dataset.serial;
  dataset.serial = 0;
  Publish({.datasets = {dataset}});
  EXPECT_EQ(reader_->FindBySerial(serial), std::nullopt);
}

TEST_F(Catalog, KeepsThePoolThroughOtherChangesGrowthAndRestarts) {
  EXPECT_EQ(reader_->pool(), CatalogPool());
  const CatalogPool pool = {.size = uint64_t{1} << 40, .free = 1000, .trash = 10};
  Publish({.pool = pool});
  EXPECT_EQ(reader_->pool(), pool);
  const uint64_t version = writer_->version();
  Publish({.pool = pool});
  EXPECT_EQ(writer_->version(), version) << "nothing changed";
  for (uint64_t stamp = 1; stamp < 4; ++stamp) Publish(MakeChange(20'000 / kSlowdown, 1, stamp));
  EXPECT_EQ(reader_->pool(), pool);
  Restart();
  EXPECT_EQ(reader_->pool(), pool);
  Publish({.complete = true});
  EXPECT_EQ(reader_->pool(), pool) << "whoever knows nothing newer says nothing";
}

TEST_F(Catalog, RemovesDatasetsAndNodesButNeverSelf) {
  Publish({.nodes = {MakeNode(2)}, .datasets = {MakeDataset(1, 1, 2), MakeDataset(2, 2, 2)}});
  Publish({.gone_nodes = {MakeNode(2).id, self_.id}, .gone_datasets = {MakeId(2), MakeId(99)}});
  EXPECT_THAT(reader_->Nodes(), ElementsAre(self_));
  EXPECT_THAT(reader_->List(MakeNode(2).id), IsEmpty());
  EXPECT_THAT(reader_->List(self_.id), ElementsAre(MakeDataset(1, 1, 2)));
}

TEST_F(Catalog, ACompleteChangeForgetsWhatItDoesNotName) {
  Publish({.nodes = {MakeNode(2), MakeNode(3)}, .datasets = MakeChange(20, 2, 2).datasets});
  Publish({.complete = true, .nodes = {MakeNode(3)}, .datasets = {MakeDataset(5, 2, 2), MakeDataset(30, 3, 2)}});
  EXPECT_THAT(reader_->Nodes(), ElementsAre(self_, MakeNode(3)));
  EXPECT_THAT(reader_->List(MakeNode(2).id), ElementsAre(MakeDataset(5, 2, 2)));
  EXPECT_EQ(reader_->totals().datasets, 2U);
}

TEST_F(Catalog, WhatIsAlreadySoMakesNoVersion) {
  Publish(MakeChange(50, 1, 2));
  const uint64_t version = reader_->version();
  Publish(MakeChange(50, 1, 2));
  EXPECT_EQ(reader_->version(), version);
  Publish(MakeChange(50, 1, 3));
  EXPECT_EQ(reader_->version(), version + 1);
}

TEST_F(Catalog, ABadEntryChangesNothing) {
  CatalogDataset slash = MakeDataset(2, 1, 2);
  slash.name = "a/b";
  const absl::Status status = writer_->Publish({.datasets = {MakeDataset(1, 1, 2), slash}});
  EXPECT_EQ(CauseOf(status), Cause::kInvalid);
  CatalogDataset nameless;
  nameless.name = "x";
  EXPECT_EQ(CauseOf(writer_->Publish({.datasets = {nameless}})), Cause::kInvalid);
  EXPECT_EQ(reader_->totals().datasets, 0U);
}

TEST_F(Catalog, ARestartedWriterKeepsWhatWasKnown) {
  Publish({.nodes = {MakeNode(2, false)}, .datasets = MakeChange(100, 2, 8).datasets});
  const uint64_t version = reader_->version();
  Restart();
  EXPECT_GT(reader_->version(), version);
  EXPECT_THAT(reader_->Nodes(), ElementsAre(self_, MakeNode(2, false)));
  EXPECT_EQ(reader_->List(MakeNode(2).id).size(), 100U);
  EXPECT_THAT(reader_->FindById(MakeId(42)), Optional(MakeDataset(42, 2, 8)));
  Publish({.datasets = {MakeDataset(42, 1, 9)}});
  EXPECT_THAT(reader_->FindById(MakeId(42)), Optional(MakeDataset(42, 1, 9)));
}

TEST_F(Catalog, GrowsUnderItsReaders) {
  constexpr uint32_t kMany = 100'000 / kSlowdown;
  constexpr uint32_t kStep = kMany / 10;
  Publish({.datasets = {MakeDataset(0, 1, 2)}});
  for (uint32_t from = 0; from < kMany; from += kStep) {
    CatalogChange change;
    for (uint32_t i = from; i < from + kStep; ++i) change.datasets.push_back(MakeDataset(i, 1 + i % 100, 2));
    Publish(change);
    ASSERT_EQ(reader_->totals().datasets, from + kStep);
  }
  for (uint32_t i = 0; i < kMany; i += 997) {
    EXPECT_THAT(reader_->Find(MakeNode(1 + i % 100).id, absl::StrCat("data", i)),
                Optional(MakeDataset(i, 1 + i % 100, 2)));
  }
  EXPECT_EQ(reader_->List(MakeNode(50).id).size(), kMany / 100);
  EXPECT_TRUE(reader_->Health().ok());
}

// Growth must come to an end: what old versions held is used again.
TEST_F(Catalog, SteadyChangeNeedsNoMoreSpace) {
  const auto file_size = [&] { return catalog::Segment::Open(path_).value()->file_size(); };
  Publish(MakeChange(1000, 1, 1));
  for (uint32_t stamp = 0; stamp < 100; ++stamp) Publish(MakeChange(1000, 1 + stamp % 3, stamp));
  const uint64_t size = file_size();
  for (uint32_t stamp = 0; stamp < 2000 / kSlowdown; ++stamp) {
    Publish({.datasets = {MakeDataset(stamp % 1000, stamp % 7, stamp)}});
    if (stamp % 100 == 0) Publish(MakeChange(1000, 1 + stamp % 3, stamp));
  }
  EXPECT_LE(file_size(), 2 * size);
  EXPECT_LE(size, 8U << 20);
}

TEST_F(Catalog, WhenTheFileCannotGrowTheOldContentStays) {
  Publish(MakeChange(500, 1, 2));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{5 << 20, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = writer_->Publish(MakeChange(50'000, 1, 3));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(ErrnoOf(status), EFBIG) << status;
  EXPECT_EQ(reader_->totals().datasets, 500U);
  EXPECT_THAT(reader_->FindById(MakeId(3)), Optional(MakeDataset(3, 1, 2)));
  Publish({.datasets = {MakeDataset(3, 1, 4)}});
  EXPECT_THAT(reader_->FindById(MakeId(3)), Optional(MakeDataset(3, 1, 4)));
  Publish(MakeChange(50'000, 1, 3));
  EXPECT_EQ(reader_->List(self_.id).size(), 50'000U);
}

}  // namespace
}  // namespace flocker
