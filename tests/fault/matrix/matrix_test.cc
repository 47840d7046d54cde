// The crash matrix: at every point of engine/base/fault_points.h, every process is killed once. The README of this
// label says how to run it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "engine/base/fault_points.h"
#include "engine/base/status.h"
#include "tests/fault/matrix/operation.h"
#include "tests/fault/matrix/world.h"
#include "tests/harness/armed_point.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kReachTimeout = absl::Seconds(30);
constexpr absl::Duration kSettleTimeout = absl::Seconds(150);  // io_timeout (90 s) and what follows it
constexpr size_t kVictimsOfARun = std::size(kVictims) / 3;

struct Cell {
  FaultPoint point;
  Victim victim;
};

uint64_t Seed() {
  uint64_t seed = 0;
  const char* given = std::getenv("FLOCKER_FAULT_SEED");
  const std::string text = given != nullptr ? given : absl::FormatTime("%Y%m%d", absl::Now(), absl::UTCTimeZone());
  if (!absl::SimpleAtoi(text, &seed)) {
    std::fprintf(stderr, "FLOCKER_FAULT_SEED is not a number: %s\n", text.c_str());
    std::abort();
  }
  return seed;
}

bool WantsAll() { return std::getenv("FLOCKER_FAULT_ALL") != nullptr; }

// All cells, or for each point the third of its victims that the seed draws: every point is reached in every run.
std::vector<Cell> Selected() {
  std::mt19937_64 random(Seed());
  std::vector<Cell> cells;
  for (const FaultPoint& point : kFaultPoints) {
    std::vector<Victim> victims(std::begin(kVictims), std::end(kVictims));
    if (!WantsAll()) {
      std::shuffle(victims.begin(), victims.end(), random);
      victims.resize(kVictimsOfARun);
    }
    for (const Victim victim : victims) cells.push_back({point, victim});
  }
  return cells;
}

std::string NameOf(const Cell& cell) {
  return absl::StrReplaceAll(
      absl::StrCat(cell.point.operation.data(), "_", cell.point.name.data(), "_", VictimName(cell.victim).data()),
      {{".", "_"}, {"-", "_"}});
}

// What came of every cell of this run, printed at its end.
class Table : public ::testing::Environment {
 public:
  static void Note(const Cell& cell, const std::string& result) {
    results_[absl::StrCat(cell.point.operation.data(), " ", cell.point.name.data())][cell.victim] = result;
  }
  void SetUp() override {
    std::printf("matrix: %s (FLOCKER_FAULT_SEED=%lu)\n",
                WantsAll() ? "all cells" : "a third of the cells; FLOCKER_FAULT_ALL=1 runs all",
                static_cast<unsigned long>(Seed()));
  }
  void TearDown() override {
    std::printf("%-42s", "seconds from kill to rest");
    for (const Victim victim : kVictims) std::printf("%14s", VictimName(victim).data());
    std::printf("\n");
    for (const FaultPoint& point : kFaultPoints) {
      const std::string row = absl::StrCat(point.operation.data(), " ", point.name.data());
      if (!results_.contains(row)) continue;
      std::printf("%-42s", row.c_str());
      for (const Victim victim : kVictims) std::printf("%14s", results_[row][victim].c_str());
      std::printf("\n");
    }
  }

 private:
  static inline std::map<std::string, std::map<Victim, std::string>> results_;
};
const auto* const kTable = ::testing::AddGlobalTestEnvironment(std::make_unique<Table>().release());

class Matrix : public ::testing::TestWithParam<Cell> {
 protected:
  void SetUp() override {
    Table::Note(GetParam(), "FAIL");  // until it is better known
    if (world_ != nullptr) return;
    world_ = std::make_unique<World>();
    const absl::Status started = world_->Start();
    ASSERT_TRUE(started.ok()) << started;
  }
  // A cell that failed leaves a world that says nothing about the next; its logs are shown as it goes.
  void TearDown() override {
    if (HasFailure()) world_.reset();
  }
  static void TearDownTestSuite() { world_.reset(); }

  // Where the data is now, whatever the operation did: as written.
  void ExpectData(Rest rest, const std::string& data) {
    if (rest == Rest::kTrashed) {
      rpc::OperationRequest restore;
      restore.mutable_restore()->set_dataset_id(world_->TheDataset().value().id());
      const absl::Status restored = world_->Execute(restore);
      ASSERT_TRUE(restored.ok()) << restored;
      const auto settled = world_->Settle({Rest::kOnAlpha}, kSettleTimeout);
      ASSERT_TRUE(settled.ok()) << "restoring: " << settled.status();
      rest = Rest::kOnAlpha;
    }
    const std::string node = rest == Rest::kOnAlpha ? "alpha" : "beta";
    if (data.empty()) {
      const absl::Status written = world_->WriteData(node, "fresh");
      EXPECT_TRUE(written.ok()) << written;
      return;
    }
    const auto found = world_->ReadData(node);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(*found == data) << "the data is not what was written and fsynced";
    const absl::Status others = world_->CheckOther();
    EXPECT_TRUE(others.ok()) << others;
  }

  // Back to a cluster without datasets.
  void Clear(Rest rest) {
    if (rest == Rest::kAbsent) return;
    const auto view = world_->View();
    ASSERT_TRUE(view.ok()) << view.status();
    for (const rpc::DatasetView& dataset : view->datasets()) {
      rpc::OperationRequest destroy;
      destroy.mutable_destroy()->set_dataset_id(dataset.id());
      rpc::OperationRequest purge;
      purge.mutable_purge()->set_dataset_id(dataset.id());
      const absl::Status destroyed = world_->Execute(destroy);
      EXPECT_TRUE(destroyed.ok()) << destroyed;
      const absl::Status purged = world_->Execute(purge);
      EXPECT_TRUE(purged.ok()) << purged;
    }
    const auto settled = world_->Settle({Rest::kAbsent}, kSettleTimeout);
    EXPECT_TRUE(settled.ok()) << "after its purge: " << settled.status();
  }

  static inline std::unique_ptr<World> world_;
};

TEST_P(Matrix, CompletesOrIsUndone) {
  const Cell& cell = GetParam();
  const bool late = cell.point.operation == "fence" && absl::StartsWith(std::string(cell.point.name), "agent.drop");
  Operation operation(*world_, cell.point.operation, late);
  const absl::Status prepared = operation.Prepare();
  ASSERT_TRUE(prepared.ok()) << prepared;
  ArmedPoint point(world_->fault_dir(), cell.point.name);
  const absl::Status begun = operation.Begin();
  ASSERT_TRUE(begun.ok()) << begun;
  ASSERT_TRUE(point.WaitReached(kReachTimeout))
      << "answered " << operation.Finish() << ": " << cell.point.name << " is listed for " << cell.point.operation
      << " and was never reached by it";

  const absl::Time killed = absl::Now();
  world_->Kill(cell.victim);
  point.LetGo();
  const absl::Status started = world_->StartWhatIsDown();
  ASSERT_TRUE(started.ok()) << started;
  const absl::Status answer = operation.Finish();
  const auto settled = world_->Settle(operation.Allowed(answer), kSettleTimeout);
  ASSERT_TRUE(settled.ok()) << cell.point.operation << " was answered " << answer << ", but " << settled.status();
  const absl::Duration took = absl::Now() - killed;

  if (*settled != Rest::kAbsent) ExpectData(*settled, operation.data());
  if (HasFailure()) return;
  Clear(*settled == Rest::kTrashed ? Rest::kOnAlpha : *settled);
  if (HasFailure()) return;
  Table::Note(cell, absl::StrFormat("%s %.1f", answer.ok() ? "ok" : "undone", absl::ToDoubleSeconds(took)));
}

INSTANTIATE_TEST_SUITE_P(At, Matrix, ::testing::ValuesIn(Selected()),
                         [](const auto& tested) { return NameOf(tested.param); });

}  // namespace
}  // namespace flocker::testing
