// The heap's promise: a version is exactly what was published, until Header::oldest says that it is not kept.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "engine/catalog/segment.h"
#include "engine/catalog/tree.h"
#include "engine/catalog/writer.h"
#include "tests/harness/scratch.h"
#include "tests/unit/catalog/entries.h"

namespace flocker {
namespace {

using testing::kSlowdown;
using testing::MakeDataset;
using testing::MakeId;
using testing::MakeNode;

using Model = std::map<std::string, CatalogDataset>;  // by id

Model ReadVersion(const catalog::Segment& segment, uint64_t version, catalog::Order order) {
  const catalog::Arena arena = segment.arena();
  const catalog::Root root = segment.root(version);
  Model model;
  Walk(arena, order, root.tree(order), "", root.datasets, [&](uint32_t item) {
    auto dataset = catalog::Load<CatalogDataset>(arena, item);
    EXPECT_TRUE(model.emplace(dataset.id.str(), dataset).second);
    return true;
  });
  EXPECT_FALSE(arena.damaged());
  return model;
}

TEST(CatalogHistory, KeptVersionsStayAsTheyWerePublished) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "catalog";
  const auto writer = CatalogWriter::Open(path, MakeNode(1)).value();
  std::minstd_rand random(1);
  Model model;
  std::map<uint64_t, Model> versions;
  auto segment = catalog::Segment::Open(path).value();
  uint64_t most_kept = 0;
  for (uint32_t step = 0; step < 2500 / kSlowdown; ++step) {
    CatalogChange change;
    const uint32_t count = step % 400 == 399 ? 100 : 1 + static_cast<uint32_t>(random() % 4);
    for (uint32_t i = 0; i < count; ++i) {
      const auto which = static_cast<uint32_t>(random() % 150);
      if (random() % 4 == 0) {
        change.gone_datasets.push_back(MakeId(which));
      } else {
        change.datasets.push_back(MakeDataset(which, static_cast<uint32_t>(random() % 3), step + i));
      }
    }
    for (const DatasetId& id : change.gone_datasets) model.erase(id.str());
    for (const CatalogDataset& dataset : change.datasets) model[dataset.id.str()] = dataset;
    ASSERT_TRUE(writer->Publish(change).ok());
    versions[writer->version()] = model;
    if (segment->superseded()) {
      segment = catalog::Segment::Open(path).value();
      versions.erase(versions.begin(), versions.find(writer->version()));
    }
    ASSERT_EQ(segment->version(), writer->version());
    // What a reader that began earlier and ends now may still be looking at.
    versions.erase(versions.begin(), versions.lower_bound(segment->oldest()));
    most_kept = std::max<uint64_t>(most_kept, versions.size());
    for (const auto& [version, expected] : {*versions.begin(), *versions.rbegin()}) {
      ASSERT_EQ(ReadVersion(*segment, version, catalog::Order::kPlace), expected) << version << " at " << step;
      ASSERT_EQ(ReadVersion(*segment, version, catalog::Order::kId), expected) << version << " at " << step;
    }
  }
  EXPECT_GT(most_kept, 100U);
  EXPECT_LE(most_kept, catalog::kHistory);
}

}  // namespace
}  // namespace flocker
