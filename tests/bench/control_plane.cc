// The control plane as the cluster grows: a real control without an array (bench_control) and agents that take no time.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"
#include "engine/rpc/flocker.grpc.pb.h"
#include "tests/bench/bench_cluster.h"
#include "tests/bench/sections.h"
#include "tests/bench/simulated_agents.h"
#include "tests/harness/daemon.h"
#include "tests/harness/metrics_page.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tgtd.h"
#include "tests/harness/wait.h"

namespace flocker::bench {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(5);
constexpr int kMovesForCpu = 400;

struct Size {
  int nodes = 0;
  int per_node = 0;
  int datasets() const { return nodes * per_node; }
};

struct Moved {
  absl::Duration took;
  std::vector<absl::Duration> moves;
  std::vector<absl::Duration> reads;  // of one dataset, one after the other meanwhile
  absl::Duration cpu;                 // control's
  double commits = 0;
};

absl::Duration Percentile99(std::vector<absl::Duration> took) {
  std::sort(took.begin(), took.end());
  return took.empty() ? absl::ZeroDuration() : took[(took.size() - 1) * 99 / 100];
}

class Plane {
 public:
  // Blocks until control has read its state and answers.
  static absl::StatusOr<std::unique_ptr<Plane>> Start(const Size& size) {
    std::unique_ptr<Plane> plane(new Plane(size));
    RETURN_IF_ERROR(plane->control_.Start());
    const bool answers = testing::Eventually(kPatience, [&] { return plane->Read(0).ok(); });
    if (!answers) return absl::UnavailableError(absl::StrCat("control does not answer: ", plane->control_.log()));
    return plane;
  }

  // All agents at once, until each knows the whole cluster.
  absl::StatusOr<absl::Duration> Connect() {
    const absl::Time begin = absl::Now();
    agents_ = std::make_unique<SimulatedAgents>(address_, size_.nodes, size_.per_node);
    RETURN_IF_ERROR(agents_->WaitInformed(kPatience));
    return absl::Now() - begin;
  }

  // `count` datasets to the next node, at most `at_once` on their way at a time; meanwhile somebody reads, if wanted.
  absl::StatusOr<Moved> Move(int count, int at_once, bool reads) {
    Moved moved;
    const absl::Duration cpu = Cpu();
    const double commits = Commits();
    const absl::Time begin = absl::Now();
    Mover mover(*this, count, at_once);
    while (reads && !mover.Done()) {
      const absl::Time asked = absl::Now();
      RETURN_IF_ERROR(Read(size_.datasets() - 1));
      moved.reads.push_back(absl::Now() - asked);
    }
    mover.WaitDone();
    moved.took = absl::Now() - begin;
    ASSIGN_OR_RETURN(moved.moves, mover.Result());
    moved.cpu = Cpu() - cpu;
    moved.commits = Commits() - commits;
    RETURN_IF_ERROR(agents_->status());
    return moved;
  }

  // Resident memory of control, in bytes.
  absl::StatusOr<double> Memory() const {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(absl::StrCat("/proc/", control_.pid(), "/statm")));
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    return std::atof(words.at(1).c_str()) * static_cast<double>(sysconf(_SC_PAGESIZE));
  }

 private:
  // Moves on gRPC's threads.
  class Mover {
   public:
    Mover(Plane& plane, int count, int at_once) : plane_(plane), left_(count), under_way_(at_once) {
      for (int i = 0; i < at_once; ++i) Next();
    }
    ~Mover() { WaitDone(); }
    Mover(const Mover&) = delete;
    Mover& operator=(const Mover&) = delete;

    void WaitDone() {
      MutexLock lock(mutex_);
      while (under_way_ > 0) changed_.Wait(lock);
    }
    bool Done() {
      const MutexLock lock(mutex_);
      return under_way_ == 0;
    }
    absl::StatusOr<std::vector<absl::Duration>> Result() {
      const MutexLock lock(mutex_);
      RETURN_IF_ERROR(failed_);
      return took_;
    }

   private:
    struct Call {
      grpc::ClientContext context;
      rpc::OperationRequest request;
      rpc::OperationReply reply;
      absl::Time asked = absl::Now();
    };
    void Next() {
      const auto call = std::make_shared<Call>();
      {
        const MutexLock lock(mutex_);
        if (left_-- <= 0 || !failed_.ok()) {
          --under_way_;
          changed_.NotifyAll();
          return;
        }
      }
      call->request = plane_.NextMove();
      plane_.stub_->async()->Execute(&call->context, &call->request, &call->reply,
                                     [this, call](const grpc::Status& status) {
                                       absl::Status outcome = FromGrpc(status, "a move");
                                       if (outcome.ok()) outcome = FromOutcome(call->reply.outcome());
                                       {
                                         const MutexLock lock(mutex_);
                                         took_.push_back(absl::Now() - call->asked);
                                         failed_.Update(outcome);
                                       }
                                       Next();
                                     });
    }

    Plane& plane_;
    Mutex mutex_;
    CondVar changed_;
    int left_ GUARDED_BY(mutex_);
    int under_way_ GUARDED_BY(mutex_);
    absl::Status failed_ GUARDED_BY(mutex_);
    std::vector<absl::Duration> took_ GUARDED_BY(mutex_);
  };

  explicit Plane(const Size& size)
      : size_(size),
        address_(absl::StrCat("unix:", directory_ / "control.sock")),
        metrics_(absl::StrCat("127.0.0.1:", testing::FreePort())),
        control_({FLOCKER_BIN_DIR "/bench_control", "--data", directory_ / "state", "--listen", address_, "--metrics",
                  metrics_, "--nodes", absl::StrCat(size.nodes), "--datasets-per-node", absl::StrCat(size.per_node)},
                 directory_ / "control.log"),
        stub_(rpc::Cluster::NewStub(OpenChannel(address_))) {}

  absl::Status Read(int dataset) {
    grpc::ClientContext context;
    rpc::ViewRequest request;
    request.set_dataset_id(DatasetNumber(dataset).str());
    rpc::ViewReply reply;
    RETURN_IF_ERROR(FromGrpc(stub_->View(&context, request, &reply), "a read"));
    if (reply.datasets_size() != 1) return absl::InternalError("a read does not find its dataset");
    return absl::OkStatus();
  }

  // The next dataset in turn, to the node behind the one where it is.
  rpc::OperationRequest NextMove() {
    const int number = moves_++;
    const int dataset = number % size_.datasets();
    const int round = number / size_.datasets();
    rpc::OperationRequest request;
    request.set_id(absl::StrFormat("00000000-0000-4000-8000-%012x", number));
    request.mutable_caller()->set_via("bench");
    rpc::Rename& rename = *request.mutable_rename();
    rename.set_dataset_id(DatasetNumber(dataset).str());
    rename.set_node_id(NodeNumber((dataset / size_.per_node + 1 + round) % size_.nodes).str());
    rename.set_name(DatasetName(dataset));
    return request;
  }

  absl::Duration Cpu() const {
    const auto text = ReadFile(absl::StrCat("/proc/", control_.pid(), "/stat"));
    if (!text.ok()) return absl::ZeroDuration();
    // proc(5): utime and stime are the 14th and 15th word; the second, the name, has no blanks here.
    const std::vector<std::string> words = absl::StrSplit(*text, ' ');
    return absl::Seconds((std::atof(words.at(13).c_str()) + std::atof(words.at(14).c_str())) /
                         static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
  double Commits() const {
    const std::string line = testing::MetricLines(metrics_, "flocker_commit_seconds_count");
    return std::atof(line.substr(std::min(line.size(), line.find(' '))).c_str());
  }

  const testing::ScratchDir directory_;
  const Size size_;
  const std::string address_;
  const std::string metrics_;
  testing::Daemon control_;
  const std::unique_ptr<rpc::Cluster::Stub> stub_;
  std::unique_ptr<SimulatedAgents> agents_;
  std::atomic<int> moves_ = 0;
};

// Everything about a cluster of this size, in one run of control.
absl::Status MeasureSize(const Size& size, std::vector<Workload>& workloads) {
  std::fprintf(stderr, "control: %d nodes with %d datasets each\n", size.nodes, size.per_node);
  const std::string peer = absl::StrCat(size.nodes, " nodes");
  ASSIGN_OR_RETURN(const auto plane, Plane::Start(size));
  ASSIGN_OR_RETURN(const absl::Duration start, plane->Connect());
  ASSIGN_OR_RETURN(const double memory, plane->Memory());
  const int count = std::max(10, size.datasets() / 100);
  ASSIGN_OR_RETURN(const Moved moved, plane->Move(count, count, true));
  const double seconds = absl::ToDoubleSeconds(moved.took);
  const std::vector<double> figures = {absl::ToDoubleMilliseconds(start),
                                       memory / size.datasets(),
                                       absl::ToDoubleMilliseconds(Percentile99(moved.reads)),
                                       absl::ToDoubleMilliseconds(Percentile99(moved.moves)),
                                       count / seconds,
                                       moved.commits / seconds};
  for (size_t i = 0; i < figures.size(); ++i) workloads.at(i).speed.Add(peer, figures[i]);
  return absl::OkStatus();
}

// Control's CPU time per move at ten nodes, however many datasets they have.
absl::Status MeasureChange(int per_node, Workload& workload) {
  const Size size{.nodes = 10, .per_node = per_node};
  std::fprintf(stderr, "control: a change among %d datasets\n", size.datasets());
  ASSIGN_OR_RETURN(const auto plane, Plane::Start(size));
  RETURN_IF_ERROR(plane->Connect().status());
  RETURN_IF_ERROR(plane->Move(kMovesForCpu / 4, 4, false).status());  // whatever happens once, is over then
  ASSIGN_OR_RETURN(const Moved moved, plane->Move(kMovesForCpu, 4, false));
  workload.speed.Add(absl::StrCat(size.datasets(), " datasets"), absl::ToDoubleMicroseconds(moved.cpu) / kMovesForCpu);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Section> RunControlPlane(const Settings& settings) {
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  Section section{.name = "control"};
  section.peers = {
      {"control", "store, controller and gRPC services of flocker-control with an array that takes no time"},
      {"N nodes", "each a stream of its own, with 100 attached datasets; what they are told takes them no time"},
      {"N datasets", "on ten nodes"}};
  std::vector<Workload> by_nodes = {{.name = "start_until_all_know_all", .unit = "ms"},
                                    {.name = "memory_per_dataset", .unit = "bytes"},
                                    {.name = "read_p99_while_moving", .unit = "ms"},
                                    {.name = "move_p99_of_1_percent_at_once", .unit = "ms"},
                                    {.name = "moves", .unit = "1/s"},
                                    {.name = "commits", .unit = "1/s"}};
  Workload change{.name = "cpu_per_change", .unit = "us"};
  for (int round = 0; round < settings.rounds; ++round) {
    int nodes = 10;
    for (int i = 0; i < settings.magnitudes; ++i, nodes *= 10) {
      RETURN_IF_ERROR(MeasureSize({.nodes = nodes, .per_node = 100}, by_nodes));
      RETURN_IF_ERROR(MeasureChange(nodes * 10, change));
    }
  }
  for (Workload& workload : by_nodes) workload.Compare("1000_vs_100", workload.speed, "1000 nodes", "100 nodes");
  change.Compare("100000_vs_1000", change.speed, "100000 datasets", "1000 datasets");
  change.Compare("10000_vs_1000", change.speed, "10000 datasets", "1000 datasets");
  section.workloads = std::move(by_nodes);
  section.workloads.push_back(std::move(change));
  for (const Workload& workload : section.workloads) settings.measured(workload);
  return section;
}

}  // namespace flocker::bench
