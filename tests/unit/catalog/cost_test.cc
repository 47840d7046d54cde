// A change costs the change: the figures, and the bounds that the tree's contract puts on them.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "absl/functional/function_ref.h"
#include "engine/catalog/reader.h"
#include "engine/catalog/writer.h"
#include "tests/harness/scratch.h"
#include "tests/unit/catalog/entries.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
constexpr bool kTimesCount = false;
#else
constexpr bool kTimesCount = true;
#endif

namespace flocker {
namespace {

using testing::MakeDataset;
using testing::MakeId;
using testing::MakeNode;

// The median of `rounds` runs, in microseconds: the machine is shared.
double Median(uint32_t rounds, absl::FunctionRef<void(uint32_t round)> run) {
  std::vector<double> times;
  for (uint32_t round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    run(round);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[rounds / 2];
}

struct Figures {
  double publish, find, absent, list;
};

Figures Measure(uint32_t count) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "catalog";
  const auto writer = CatalogWriter::Open(path, MakeNode(0)).value();
  const auto reader = CatalogReader::Open(path).value();
  CatalogChange all{.complete = true};
  for (uint32_t i = 0; i < 100; ++i) all.nodes.push_back(MakeNode(i));
  for (uint32_t i = 0; i < count; ++i) all.datasets.push_back(MakeDataset(i, i % 100, 2));
  const double fill = Median(1, [&](uint32_t) { EXPECT_TRUE(writer->Publish(all).ok()); });
  const double same = Median(1, [&](uint32_t) { EXPECT_TRUE(writer->Publish(all).ok()); });
  const auto which = [&](uint32_t round) { return round * 7919 % count; };
  Figures figures{};
  figures.publish = Median(3000, [&](uint32_t round) {
    const uint32_t i = which(round);
    EXPECT_TRUE(writer->Publish({.datasets = {MakeDataset(i, i % 100, 3 + round)}}).ok());
  });
  figures.find = Median(3000, [&](uint32_t round) { EXPECT_TRUE(reader->FindById(MakeId(which(round)))); });
  figures.absent = Median(
      3000, [&](uint32_t round) { EXPECT_FALSE(reader->Find(MakeNode(round % 100).id, "data-that-is-not-there")); });
  figures.list =
      Median(200, [&](uint32_t round) { EXPECT_EQ(reader->List(MakeNode(round % 100).id).size(), count / 100); });
  const double open = Median(1, [&](uint32_t) { EXPECT_TRUE(CatalogWriter::Open(path, MakeNode(0)).ok()); });
  std::printf(
      "%u datasets on 100 nodes, %.1f MiB: publish of one change %.1f us, find %.1f us, find of an absent name %.1f "
      "us, "
      "list of %u %.1f us; first publish %.0f ms, the same again %.0f ms, writer restart %.0f ms\n",
      count, static_cast<double>(catalog::Segment::Open(path).value()->file_size()) / (1 << 20), figures.publish,
      figures.find, figures.absent, count / 100, figures.list, fill / 1e3, same / 1e3, open / 1e3);
  return figures;
}

TEST(CatalogCost, FollowsTheChangeAndNotTheCatalogue) {
  if (!kTimesCount) GTEST_SKIP() << "figures of this build say nothing";
  const Figures small = Measure(100);
  const Figures large = Measure(100'000);
  EXPECT_LT(large.publish, 10 * small.publish);
  EXPECT_LT(large.find, 60);
  EXPECT_LT(large.absent, 60);
  EXPECT_LT(large.list, 10'000);
}

}  // namespace
}  // namespace flocker
