#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/size.h"
#include "tests/bench/loop_ext4.h"
#include "tests/bench/sections.h"
#include "tests/bench/served_file.h"
#include "tests/harness/cluster.h"
#include "tests/harness/tree_calls.h"

namespace flocker::bench {
namespace {

constexpr char kFlocker[] = "flocker";
constexpr char kTools[] = "tools";
constexpr char kContent[] = "moved";

absl::Status WriteProbe(const std::string& directory) {
  std::ofstream file(directory + "/probe");
  file << kContent << std::flush;
  if (!file) return absl::UnavailableError("cannot write to " + directory);
  return absl::OkStatus();
}

absl::Status ReadProbe(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(directory + "/probe"));
  if (content != kContent) return absl::DataLossError(directory + " has lost its file");
  return absl::OkStatus();
}

// A dataset's life, in the three steps that are measured.
class Life {
 public:
  virtual ~Life() = default;
  virtual absl::Status Create() = 0;   // until a file can be written
  virtual absl::Status Move() = 0;     // until the file can be read in the other place
  virtual absl::Status Destroy() = 0;  // until the name is free again
};

class InTree : public Life {
 public:
  InTree(testing::TestCluster& cluster, const std::string& name)
      : cluster_(cluster), name_(name), here_(cluster.Path("alpha", name)), there_(cluster.Path("beta", name)) {}

  absl::Status Create() override {
    if (testing::MakeDir(here_) != 0) return absl::UnavailableError("cannot make it: " + cluster_.Why(name_));
    return WriteProbe(here_);
  }
  absl::Status Move() override {
    // As `mv` does on alpha.
    const std::string target = absl::StrCat(cluster_.tree("alpha"), "/beta/", name_);
    if (const int error = testing::Rename(here_, target); error != 0) return ErrnoStatus(error, "cannot move " + here_);
    return ReadProbe(there_);
  }
  absl::Status Destroy() override {
    if (testing::RemoveDir(there_) != 0) return absl::UnavailableError("cannot destroy it: " + cluster_.Why(name_));
    return absl::OkStatus();
  }

 private:
  testing::TestCluster& cluster_;
  const std::string name_;
  const std::string here_;
  const std::string there_;
};

// The same by hand: tgtadm, qemu-storage-daemon, losetup, mkfs, mount, one after the other, nothing written down and
// nobody fenced.
class ByHand : public Life {
 public:
  ByHand(BenchArray& array, const std::string& name)
      : array_(array), name_(name), path_(array.directory() / (name + ".mnt")) {}

  absl::Status Create() override {
    ASSIGN_OR_RETURN(lun_, array_.Add(name_, kDefaultSize, BenchArray::Content::kHoles));
    RETURN_IF_ERROR(Attach(LoopExt4::Content::kNew));
    return WriteProbe(path_);
  }
  absl::Status Move() override {
    Detach();
    RETURN_IF_ERROR(Attach(LoopExt4::Content::kKept));
    return ReadProbe(path_);
  }
  absl::Status Destroy() override {
    Detach();
    return array_.Remove(lun_);
  }

 private:
  absl::Status Attach(LoopExt4::Content content) {
    ASSIGN_OR_RETURN(served_, ServedFile::ByStorageDaemon(array_, lun_));
    ASSIGN_OR_RETURN(LoopExt4 mounted, LoopExt4::Make(served_->path(), path_, content, false));
    mounted_.emplace(std::move(mounted));
    return absl::OkStatus();
  }
  void Detach() {
    mounted_.reset();
    served_.reset();
  }

  BenchArray& array_;
  const std::string name_;
  const std::string path_;
  BenchArray::Lun lun_;
  std::unique_ptr<ServedFile> served_;
  std::optional<LoopExt4> mounted_;  // gone before what it lies on
};

struct Step {
  const char* name;
  absl::Status (Life::*run)();
};
constexpr Step kSteps[] = {{"create", &Life::Create}, {"move", &Life::Move}, {"destroy", &Life::Destroy}};

}  // namespace

absl::StatusOr<Section> RunOperations(const Settings& settings) {
  testing::TestCluster cluster;
  RETURN_IF_ERROR(cluster.Start());
  BenchArray array(cluster.array());
  Section section{
      .name = "operations",
      .peers = {{kFlocker, "mkdir, mv of an idle dataset to another node, rmdir, in the tree of a cluster of two"},
                {kTools, "by hand: tgtadm, qemu-storage-daemon, losetup, mkfs.ext4, mount, and back"}}};
  for (const Step& step : kSteps) section.workloads.push_back({.name = step.name, .unit = "ms"});
  std::fprintf(stderr, "operations\n");
  int lives = 0;
  const auto live = [&](size_t peer) -> absl::Status {
    const std::string name = absl::StrCat("life", ++lives);
    std::unique_ptr<Life> life;
    if (peer == 0) {
      life = std::make_unique<InTree>(cluster, name);
    } else {
      life = std::make_unique<ByHand>(array, name);
    }
    for (size_t i = 0; i < std::size(kSteps); ++i) {
      const absl::Time begin = SteadyNow();
      RETURN_IF_ERROR((life.get()->*kSteps[i].run)());
      section.workloads[i].speed.Add(peer == 0 ? kFlocker : kTools, absl::ToDoubleMilliseconds(SteadyNow() - begin));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(Alternate(settings.rounds, 2, live));
  for (Workload& workload : section.workloads) {
    workload.Compare("of_tools", workload.speed, kFlocker, kTools);
    settings.measured(workload);
  }
  return section;
}

}  // namespace flocker::bench
