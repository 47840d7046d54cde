#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
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
constexpr absl::Duration kHeartbeatTimeout = absl::Seconds(2);

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

absl::Status SyncProbe(const std::string& directory) {
  const unique_fd probe(open((directory + "/probe").c_str(), O_RDONLY | O_CLOEXEC));
  if (!probe || fsync(probe.get()) != 0) return ErrnoStatus(errno, "cannot sync " + directory);
  return absl::OkStatus();
}

// A dataset's life, in the steps that are measured.
class Life {
 public:
  virtual ~Life() = default;
  virtual absl::Status Create() = 0;   // until a file can be written
  virtual absl::Status Move() = 0;     // until the file can be read in the other place
  virtual absl::Status Destroy() = 0;  // until the name is free again
  // Who holds it after a move is killed: until the file can be read where it was before, without the time after which
  // somebody counts as dead. The last step of a life.
  virtual absl::StatusOr<absl::Duration> Rescue() = 0;
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
  absl::StatusOr<absl::Duration> Rescue() override {
    RETURN_IF_ERROR(SyncProbe(there_));
    const std::vector<pid_t> node = cluster_.Processes("beta");  // looking for them takes a while
    const absl::Time died = SteadyNow();
    for (const pid_t pid : node) kill(pid, SIGKILL);
    const std::string there = absl::StrCat(cluster_.tree("alpha"), "/beta/", name_);
    if (const int error = testing::Rename(there, here_); error != 0) return ErrnoStatus(error, "cannot move " + there);
    RETURN_IF_ERROR(ReadProbe(here_));
    const absl::Duration taken = SteadyNow() - died - kHeartbeatTimeout;
    cluster_.SignalNode("beta", SIGKILL);  // its Daemon knows now, too
    RETURN_IF_ERROR(cluster_.StartAgent("beta"));
    return taken;
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
  absl::StatusOr<absl::Duration> Rescue() override {
    RETURN_IF_ERROR(SyncProbe(path_));
    const absl::Time begin = SteadyNow();
    RETURN_IF_ERROR(Move());
    return SteadyNow() - begin;
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

// Datasets that exist, until there are `count`: in the trash, since one machine cannot hold the servers of so many.
absl::Status MakeExist(testing::TestCluster& cluster, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string path = cluster.Path("alpha", absl::StrCat("other", i));
    if (testing::MakeDir(path) != 0 || testing::RemoveDir(path) != 0) {
      return absl::UnavailableError(absl::StrCat("cannot fill the trash: ", cluster.Why(absl::StrCat("other", i))));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Section> RunOperations(const Settings& settings) {
  testing::TestCluster cluster({.control_flags = {"--overcommit", "1000", "--heartbeat-timeout",
                                                  absl::StrCat(absl::ToInt64Seconds(kHeartbeatTimeout))}});
  RETURN_IF_ERROR(cluster.Start());
  BenchArray array(cluster.array());
  Section section{
      .name = "operations",
      .peers = {
          {kFlocker,
           "mkdir, mv of an idle dataset to another node, rmdir, in the tree of a cluster of two; also beside many "
           "datasets in the trash, and mv off a node whose processes were killed, without its heartbeat timeout"},
          {kTools,
           "by hand: tgtadm, qemu-storage-daemon, losetup, mkfs.ext4, mount, and back; for the dead node a "
           "move once more, since what is by hand counts nobody as dead"}}};
  std::fprintf(stderr, "operations\n");
  int lives = 0;
  const auto begin_life = [&](size_t peer) -> std::unique_ptr<Life> {
    const std::string name = absl::StrCat("life", ++lives);
    if (peer == 0) return std::make_unique<InTree>(cluster, name);
    return std::make_unique<ByHand>(array, name);
  };
  const auto add = [&](Workload workload) {
    workload.unit = "ms";
    workload.Compare("of_tools", workload.speed, kFlocker, kTools);
    settings.measured(workload);
    section.workloads.push_back(std::move(workload));
  };
  const auto measure = [&](const std::string& beside) -> absl::Status {
    Workload workloads[std::size(kSteps)];
    const auto live = [&](size_t peer) -> absl::Status {
      const std::unique_ptr<Life> life = begin_life(peer);
      for (size_t i = 0; i < std::size(kSteps); ++i) {
        const absl::Time begin = SteadyNow();
        RETURN_IF_ERROR((life.get()->*kSteps[i].run)());
        workloads[i].speed.Add(peer == 0 ? kFlocker : kTools, absl::ToDoubleMilliseconds(SteadyNow() - begin));
      }
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(Alternate(settings.rounds, 2, live));
    for (size_t i = 0; i < std::size(kSteps); ++i) {
      workloads[i].name = kSteps[i].name + beside;
      add(std::move(workloads[i]));
    }
    return absl::OkStatus();
  };

  RETURN_IF_ERROR(measure(""));
  Workload rescue{.name = "rescue"};
  const auto live_and_rescue = [&](size_t peer) -> absl::Status {
    const std::unique_ptr<Life> life = begin_life(peer);
    RETURN_IF_ERROR(life->Create());
    RETURN_IF_ERROR(life->Move());
    ASSIGN_OR_RETURN(const absl::Duration taken, life->Rescue());
    rescue.speed.Add(peer == 0 ? kFlocker : kTools, absl::ToDoubleMilliseconds(taken));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(Alternate(settings.rounds, 2, live_and_rescue));
  add(std::move(rescue));
  if (settings.magnitudes < 2) return section;
  const int existing = static_cast<int>(std::pow(10, settings.magnitudes));
  std::fprintf(stderr, "operations: %d datasets\n", existing);
  RETURN_IF_ERROR(MakeExist(cluster, existing));
  RETURN_IF_ERROR(measure(absl::StrCat("_beside_", existing)));
  return section;
}

}  // namespace flocker::bench
