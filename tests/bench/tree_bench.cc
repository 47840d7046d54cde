// The tree's contract in figures: 100,000 datasets on 100 nodes, through the mounted tree of a real flocker-fs.
//
//     ListANode      ls of a node directory with 1,000 datasets: under 10 ms
//     StatUncached   stat of a name that the kernel has not cached: under 60 us
//     ReadStatus     .flocker/status on such a node: as long as one of flocker-fs' two receivers is busy with it
//     Publish/<n>    publishing one change to n datasets: the same for any n
#include <benchmark/benchmark.h>
#include <dirent.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/catalog/writer.h"
#include "tests/harness/daemon.h"
#include "tests/harness/scratch.h"
#include "tests/harness/wait.h"
#include "tests/integration/fusefs/test_agent.h"
#include "tests/unit/catalog/entries.h"

namespace flocker::testing {
namespace {

constexpr uint32_t kNodes = 100;
constexpr uint32_t kDatasets = 100'000;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(EXIT_FAILURE);
}

// A catalogue with `count` datasets, dataset i on node i % kNodes.
class Catalog {
 public:
  explicit Catalog(uint32_t count) {
    auto writer = CatalogWriter::Open(path(), MakeNode(0));
    if (!writer.ok()) Fail(std::string(writer.status().message()));
    writer_ = *std::move(writer);
    CatalogChange all{.complete = true};
    for (uint32_t i = 0; i < kNodes; ++i) all.nodes.push_back(MakeNode(i));
    for (uint32_t i = 0; i < count; ++i) all.datasets.push_back(Dataset(i, 0));
    Publish(all);
  }

  std::string path() const { return scratch_ / "catalog"; }
  const ScratchDir& scratch() const { return scratch_; }
  // Nowhere mounted: what is mounted here costs a stat of its ext4 as well, which is not ours to measure.
  static CatalogDataset Dataset(uint32_t i, uint64_t stamp) {
    CatalogDataset dataset = MakeDataset(i, i % kNodes, 2 * stamp);
    dataset.serial = 0;
    return dataset;
  }
  void Publish(const CatalogChange& change) {
    if (const absl::Status status = writer_->Publish(change); !status.ok()) Fail(std::string(status.message()));
  }

 private:
  const ScratchDir scratch_;
  std::unique_ptr<CatalogWriter> writer_;
};

// flocker-fs with all of them.
class MountedTree {
 public:
  MountedTree() : catalog_(kDatasets) {
    const ScratchDir& scratch = catalog_.scratch();
    std::filesystem::create_directory(path());
    rpc::TreeWelcome welcome;
    welcome.set_node_id(MakeNode(0).id.str());
    welcome.set_node_name(MakeNode(0).name);
    welcome.set_catalog(catalog_.path());
    welcome.set_mount_root(scratch / "mnt");
    const std::string agent = "unix:" + (scratch / "agent.sock");
    agent_ = std::make_unique<TestAgent>(agent, welcome);
    agent_->Start();
    daemon_ =
        std::make_unique<Daemon>(std::vector<std::string>{FLOCKER_BIN_DIR "/flocker-fs", "--node", MakeNode(0).name,
                                                          "--agent", agent, "--mountpoint", path()},
                                 scratch / "flocker-fs.log");
    const absl::Status started = daemon_->Start();
    if (!started.ok()) Fail(std::string(started.message()));
    struct stat attributes {};
    if (!Eventually(absl::Seconds(20), [&] { return stat(Node(0).c_str(), &attributes) == 0; })) Fail(daemon_->log());
  }
  ~MountedTree() {
    agent_->Stop();
    if (const absl::Status stopped = daemon_->Stop(); !stopped.ok()) Fail(std::string(stopped.message()));
  }
  MountedTree(const MountedTree&) = delete;
  MountedTree& operator=(const MountedTree&) = delete;

  std::string path() const { return catalog_.scratch() / "flocker"; }
  std::string Node(uint32_t i) const { return absl::StrCat(path(), "/", MakeNode(i).name); }
  // A name that was not asked for before, until all were: then all over again.
  std::string NextName() {
    const uint32_t i = next_++ % kDatasets;
    return absl::StrCat(Node(i % kNodes), "/", Catalog::Dataset(i, 0).name);
  }

 private:
  Catalog catalog_;
  std::unique_ptr<TestAgent> agent_;
  std::unique_ptr<Daemon> daemon_;
  uint32_t next_ = 0;
};

// Of all benchmarks that need one; main ends it.
std::unique_ptr<MountedTree> shared;
MountedTree& Shared() {
  if (shared == nullptr) shared = std::make_unique<MountedTree>();
  return *shared;
}

void ListANode(benchmark::State& state) {
  MountedTree& tree = Shared();
  uint32_t round = 0;
  for (auto _ : state) {
    DIR* directory = opendir(tree.Node(round++ % kNodes).c_str());
    uint32_t names = 0;
    while (directory != nullptr && readdir(directory) != nullptr) ++names;
    if (directory != nullptr) closedir(directory);
    if (names != kDatasets / kNodes + 2) state.SkipWithError("a listing is not whole");
  }
}
BENCHMARK(ListANode)->Unit(benchmark::kMillisecond);

void StatUncached(benchmark::State& state) {
  MountedTree& tree = Shared();
  struct stat attributes {};
  std::vector<std::string> names(static_cast<size_t>(state.max_iterations));
  for (std::string& name : names) name = tree.NextName();
  auto name = names.begin();
  for (auto _ : state) {
    if (stat((name++)->c_str(), &attributes) != 0) state.SkipWithError("a dataset is not there");
  }
}
BENCHMARK(StatUncached)->Iterations(20'000)->Unit(benchmark::kMicrosecond);

void StatAbsent(benchmark::State& state) {
  const std::string name = Shared().Node(7) + "/absent";
  struct stat attributes {};
  for (auto _ : state) {
    if (stat(name.c_str(), &attributes) == 0) state.SkipWithError("what should be absent is there");
  }
}
BENCHMARK(StatAbsent)->Unit(benchmark::kMicrosecond);

void ReadStatus(benchmark::State& state) {
  const std::string path = Shared().path() + "/.flocker/status";
  for (auto _ : state) {
    const auto status = ReadFile(path);
    if (!status.ok() || status->size() < kDatasets / kNodes) state.SkipWithError("a status is not whole");
  }
}
BENCHMARK(ReadStatus)->Unit(benchmark::kMillisecond);

void Publish(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  Catalog catalog(count);
  uint64_t stamp = 0;
  for (auto _ : state) {
    ++stamp;
    const auto i = static_cast<uint32_t>(stamp * 7919 % count);
    catalog.Publish({.datasets = {Catalog::Dataset(i, stamp)}});
  }
}
BENCHMARK(Publish)->Arg(100)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace flocker::testing

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  benchmark::RunSpecifiedBenchmarks();
  flocker::testing::shared.reset();
  return EXIT_SUCCESS;
}
