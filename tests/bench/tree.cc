// The tree's contract in figures: 100,000 datasets on 100 nodes, through the mounted tree of a real flocker-fs, which
// wants of ls of a node under 10 ms, of stat of a name that the kernel has not cached under 60 us, and of publishing
// one change the same for any number of datasets.
#include <dirent.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/catalog/writer.h"
#include "tests/bench/loop_ext4.h"
#include "tests/bench/sections.h"
#include "tests/bench/served_file.h"
#include "tests/harness/daemon.h"
#include "tests/harness/scratch.h"
#include "tests/harness/wait.h"
#include "tests/integration/fusefs/test_agent.h"
#include "tests/unit/catalog/entries.h"

namespace flocker::bench {
namespace {

constexpr char kTree[] = "tree";
constexpr char kExt4[] = "ext4";
constexpr char kLarge[] = "catalogue";
constexpr char kSmall[] = "small";

constexpr uint32_t kNodes = 100;
constexpr uint32_t kSmallCount = 100;  // datasets
constexpr int kPublications = 1000;
constexpr uint32_t kStats = 20'000;
constexpr uint64_t kExt4Bytes = uint64_t{4} << 30;  // inodes for them all

// Dataset i is on node i % kNodes. Nowhere mounted: what is mounted here costs a stat of its ext4 as well, which is not
// the tree's to measure.
CatalogDataset Dataset(uint32_t i, uint64_t stamp) {
  CatalogDataset dataset = testing::MakeDataset(i, i % kNodes, 2 * stamp);
  dataset.serial = 0;
  return dataset;
}

std::string PathOf(const std::string& root, uint32_t i) {
  return absl::StrCat(root, "/", testing::MakeNode(i % kNodes).name, "/", Dataset(i, 0).name);
}

class Catalog {
 public:
  explicit Catalog(uint32_t count) : count_(count) {}
  absl::Status Fill() {
    ASSIGN_OR_RETURN(writer_, CatalogWriter::Open(path(), testing::MakeNode(0)));
    CatalogChange all{.complete = true};
    for (uint32_t i = 0; i < kNodes; ++i) all.nodes.push_back(testing::MakeNode(i));
    for (uint32_t i = 0; i < count_; ++i) all.datasets.push_back(Dataset(i, 0));
    return writer_->Publish(all);
  }

  std::string path() const { return scratch_ / "catalog"; }
  const testing::ScratchDir& scratch() const { return scratch_; }
  // One change after the other, each to another dataset; what one takes, in us.
  absl::StatusOr<double> Publish() {
    const absl::Time begin = SteadyNow();
    for (int i = 0; i < kPublications; ++i) {
      ++stamp_;
      const auto dataset = static_cast<uint32_t>(stamp_ * 7919 % count_);
      RETURN_IF_ERROR(writer_->Publish({.datasets = {Dataset(dataset, stamp_)}}));
    }
    return absl::ToDoubleMicroseconds(SteadyNow() - begin) / kPublications;
  }

 private:
  const testing::ScratchDir scratch_;
  const uint32_t count_;
  std::unique_ptr<CatalogWriter> writer_;
  uint64_t stamp_ = 0;
};

// A root with a directory for each node and one in it for each dataset.
class Names {
 public:
  virtual ~Names() = default;
  // The kernel knows no name in it when it returns.
  virtual absl::StatusOr<std::string> FreshRoot() = 0;
};

class InTree : public Names {
 public:
  explicit InTree(uint32_t count) : catalog_(count) {}
  ~InTree() override { Stop(); }

  absl::StatusOr<std::string> FreshRoot() override {
    const testing::ScratchDir& scratch = catalog_.scratch();
    const std::string root = scratch / "flocker";
    if (agent_ == nullptr) {
      RETURN_IF_ERROR(catalog_.Fill());
      std::filesystem::create_directory(root);
      rpc::TreeWelcome welcome;
      welcome.set_node_id(testing::MakeNode(0).id.str());
      welcome.set_node_name(testing::MakeNode(0).name);
      welcome.set_catalog(catalog_.path());
      welcome.set_mount_root(scratch / "mnt");
      agent_ = std::make_unique<testing::TestAgent>(agent(), welcome);
      agent_->Start();
    }
    Stop();
    daemon_.emplace(std::vector<std::string>{FLOCKER_BIN_DIR "/flocker-fs", "--node", testing::MakeNode(0).name,
                                             "--agent", agent(), "--mountpoint", root},
                    scratch / "flocker-fs.log");
    RETURN_IF_ERROR(daemon_->Start());
    struct stat attributes {};
    const std::string node = absl::StrCat(root, "/", testing::MakeNode(0).name);
    if (!testing::Eventually(absl::Seconds(20), [&] { return stat(node.c_str(), &attributes) == 0; })) {
      return absl::UnavailableError(absl::StrCat("flocker-fs does not answer: ", daemon_->log()));
    }
    return root;
  }

 private:
  std::string agent() const { return "unix:" + (catalog_.scratch() / "agent.sock"); }
  void Stop() {
    if (!daemon_) return;
    if (const absl::Status stopped = daemon_->Stop(); !stopped.ok()) {
      std::fprintf(stderr, "bench: %s\n", std::string(stopped.message()).c_str());
    }
    daemon_.reset();
  }

  Catalog catalog_;
  std::unique_ptr<testing::TestAgent> agent_;
  std::optional<testing::Daemon> daemon_;
};

class InExt4 : public Names {
 public:
  explicit InExt4(uint32_t count) : count_(count) {}

  absl::StatusOr<std::string> FreshRoot() override {
    const std::string root = scratch_ / "root";
    const bool first = !mounted_;
    if (first) RETURN_IF_ERROR(MakeSparseFile(scratch_ / "disk", kExt4Bytes));
    mounted_.reset();
    ASSIGN_OR_RETURN(
        LoopExt4 mounted,
        LoopExt4::Make(scratch_ / "disk", root, first ? LoopExt4::Content::kNew : LoopExt4::Content::kKept, false));
    mounted_.emplace(std::move(mounted));
    if (!first) return root;
    for (uint32_t i = 0; i < count_; ++i) std::filesystem::create_directories(PathOf(root, i));
    return FreshRoot();
  }

 private:
  const testing::ScratchDir scratch_;
  const uint32_t count_;
  std::optional<LoopExt4> mounted_;
};

absl::Status CountNames(const std::string& directory, uint32_t expected) {
  DIR* stream = opendir(directory.c_str());
  uint32_t names = 0;
  while (stream != nullptr && readdir(stream) != nullptr) ++names;
  if (stream != nullptr) closedir(stream);
  if (names != expected + 2 /* . and .. */)
    return absl::DataLossError(absl::StrCat(directory, " lists ", names, " names"));
  return absl::OkStatus();
}

struct Job {
  const char* name;
  const char* unit;
  absl::StatusOr<double> (*measure)(const std::string& root, uint32_t count);
};

absl::StatusOr<double> Ls(const std::string& root, uint32_t count) {
  const absl::Time begin = SteadyNow();
  for (uint32_t i = 0; i < kNodes; ++i) {
    RETURN_IF_ERROR(CountNames(absl::StrCat(root, "/", testing::MakeNode(i).name), count / kNodes));
  }
  return absl::ToDoubleMilliseconds(SteadyNow() - begin) / kNodes;
}

absl::StatusOr<double> Stat(const std::string& root, uint32_t count) {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < std::min(count, kStats); ++i) names.push_back(PathOf(root, i));
  struct stat attributes {};
  const absl::Time begin = SteadyNow();
  for (const std::string& name : names) {
    if (stat(name.c_str(), &attributes) != 0) return ErrnoStatus(errno, name);
  }
  return absl::ToDoubleMicroseconds(SteadyNow() - begin) / static_cast<double>(names.size());
}

absl::StatusOr<double> StatAbsent(const std::string& root, uint32_t count) {
  struct stat attributes {};
  const absl::Time begin = SteadyNow();
  for (uint32_t i = 0; i < std::min(count, kStats); ++i) {
    const std::string name = PathOf(root, i) + ".absent";
    if (stat(name.c_str(), &attributes) == 0) return absl::InternalError(name + " is there");
  }
  return absl::ToDoubleMicroseconds(SteadyNow() - begin) / std::min(count, kStats);
}

absl::StatusOr<double> Find(const std::string& root, uint32_t count) {
  const absl::Time begin = SteadyNow();
  // -size: a look at the attributes of each.
  ASSIGN_OR_RETURN(const std::string found, RunChecked({"find", root, "-mindepth", "2", "-maxdepth", "2", "-name",
                                                        "data*", "-size", "-1000000", "-printf", "."},
                                                       absl::Minutes(2)));
  if (found.size() != count) return absl::DataLossError(absl::StrCat("find found ", found.size(), " of ", count));
  return absl::ToDoubleMilliseconds(SteadyNow() - begin);
}

constexpr Job kJobs[] = {{"ls_of_a_node", "ms", &Ls},
                         {"stat_uncached", "us", &Stat},
                         {"stat_absent", "us", &StatAbsent},
                         {"find", "ms", &Find}};

}  // namespace

absl::StatusOr<Section> RunTree(const Settings& settings) {
  const auto count = static_cast<uint32_t>(100 * std::pow(10, settings.magnitudes));
  Section section{
      .name = "tree",
      .peers = {{kTree, absl::StrCat("flocker-fs, just started: ", count, " datasets on ", kNodes, " nodes")},
                {kExt4, "directories of the same names in ext4, just mounted, on a loop device over a local file"},
                {kLarge, "one change published to a catalogue of so many datasets"},
                {kSmall, absl::StrCat("the same to one of ", kSmallCount)}}};
  InTree in_tree(count);
  InExt4 in_ext4(count);
  Names* const places[] = {&in_tree, &in_ext4};
  const auto add = [&](Workload workload, const char* ratio, const char* ours, const char* theirs) {
    workload.Compare(ratio, workload.speed, ours, theirs);
    settings.measured(workload);
    section.workloads.push_back(std::move(workload));
  };
  for (const Job& job : kJobs) {
    std::fprintf(stderr, "tree: %s\n", job.name);
    Workload workload{.name = job.name, .unit = job.unit};
    RETURN_IF_ERROR(Alternate(settings.rounds, std::size(places), [&](size_t i) -> absl::Status {
      ASSIGN_OR_RETURN(const std::string root, places[i]->FreshRoot());
      ASSIGN_OR_RETURN(const double time, job.measure(root, count));
      workload.speed.Add(i == 0 ? kTree : kExt4, time);
      return absl::OkStatus();
    }));
    add(std::move(workload), "of_ext4", kTree, kExt4);
  }
  std::fprintf(stderr, "tree: publish\n");
  Catalog large(count);
  Catalog small(kSmallCount);
  RETURN_IF_ERROR(large.Fill());
  RETURN_IF_ERROR(small.Fill());
  Workload publish{.name = "publish", .unit = "us"};
  RETURN_IF_ERROR(Alternate(settings.rounds, 2, [&](size_t i) -> absl::Status {
    ASSIGN_OR_RETURN(const double time, (i == 0 ? large : small).Publish());
    publish.speed.Add(i == 0 ? kLarge : kSmall, time);
    return absl::OkStatus();
  }));
  add(std::move(publish), "of_small", kLarge, kSmall);
  return section;
}

}  // namespace flocker::bench
