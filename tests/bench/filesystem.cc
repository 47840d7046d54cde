#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/bench/fio_run.h"
#include "tests/bench/loop_ext4.h"
#include "tests/bench/sections.h"
#include "tests/bench/served_file.h"
#include "tests/harness/cluster.h"
#include "tests/harness/tree_calls.h"

namespace flocker::bench {
namespace {

constexpr char kNative[] = "flocker";
constexpr char kTree[] = "tree";
constexpr char kStorageDaemon[] = "qsd";
constexpr char kLocal[] = "local";
constexpr uint64_t kLogBytes = uint64_t{4} << 20;  // of who syncs while another one reads

struct Place {
  std::string peer;
  std::string directory;
};

// What is measured in a directory: a speed, more is better.
using Measure = std::function<absl::StatusOr<double>(const std::string& directory)>;
struct Job {
  const char* name;
  const char* unit;
  Measure measure;
  bool reads = false;  // and nothing else
};

absl::Status SyncFs(const std::string& directory) {
  const unique_fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || syncfs(fd.get()) != 0) return ErrnoStatus(errno, "cannot sync " + directory);
  return absl::OkStatus();
}

// How often a second `work` and the sync after it would fit.
absl::StatusOr<double> PerSecond(const std::string& directory, const std::function<absl::Status()>& work) {
  const absl::Time begin = SteadyNow();
  RETURN_IF_ERROR(work());
  RETURN_IF_ERROR(SyncFs(directory));
  return 1 / absl::ToDoubleSeconds(SteadyNow() - begin);
}

absl::Status Run(const std::vector<std::string>& argv) { return RunChecked(argv, absl::Minutes(5)).status(); }

// A tree like that of a program's sources: `files` of 1 to 32 KiB, 20 in a directory, as an archive.
absl::Status MakeArchive(const std::string& scratch, int files, const std::string& archive) {
  const std::string source = scratch + "/source";
  for (int i = 0; i < files; ++i) {
    const std::string directory = absl::StrCat(source, "/room", i / 20);
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    std::ofstream(absl::StrCat(directory, "/file", i, ".cc"))
        << std::string(static_cast<size_t>(1024 * (1 + i * 7 % 32)), static_cast<char>('a' + i % 26));
  }
  return Run({"tar", "-C", scratch, "-cf", archive, "source"});
}

absl::Status Untar(const std::string& archive, const std::string& directory) {
  return Run({"tar", "-C", directory, "-xf", archive});
}

absl::Status RemoveTree(const std::string& directory) { return Run({"rm", "-r", directory + "/source"}); }

// Transactions of one row each, every one of them synced.
void WriteSqliteScript(const std::string& path, int transactions) {
  std::ofstream script(path);
  script << "PRAGMA journal_mode=WAL;\nPRAGMA synchronous=FULL;\nCREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT);\n";
  for (int i = 0; i < transactions; ++i) script << "INSERT INTO t(text) VALUES('" << std::string(100, 'x') << "');\n";
}

// A cgroup with block I/O of its own: the loop driver has a thread for each.
class OwnCgroup {
 public:
  static absl::StatusOr<OwnCgroup> Make() {
    const std::string v1 = "/sys/fs/cgroup/blkio";
    const bool alone = std::filesystem::exists(v1);
    const std::string root = alone ? v1 : "/sys/fs/cgroup";
    if (!alone) {
      std::ofstream control(root + "/cgroup.subtree_control");
      if (!(control << "+io" << std::flush)) return absl::UnavailableError("no cgroup can have the io controller");
    }
    OwnCgroup made(absl::StrCat(root, "/flocker-bench-", getpid()));
    if (mkdir(made.path_.c_str(), 0700) != 0) return ErrnoStatus(errno, "cannot make " + made.path_);
    return made;
  }
  OwnCgroup(OwnCgroup&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  OwnCgroup& operator=(OwnCgroup&&) = delete;
  ~OwnCgroup() {
    if (!path_.empty()) rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  explicit OwnCgroup(std::string path) : path_(std::move(path)) {}
  std::string path_;  // empty: moved from
};

// How fast somebody reads while another one writes and syncs all the time.
absl::StatusOr<double> ReadBesideSync(const std::string& directory, uint64_t size, absl::Duration time, bool apart) {
  std::optional<OwnCgroup> cgroup;
  if (apart) {
    ASSIGN_OR_RETURN(OwnCgroup made, OwnCgroup::Make());
    cgroup.emplace(std::move(made));
  }
  auto writer = std::async(std::launch::async, [&] {
    return RunFio({.file = directory + "/log", .rw = "randwrite", .direct = false, .more = {"--fsync=1"}}, kLogBytes,
                  time + absl::Seconds(1));
  });
  const auto read =
      RunFio({.file = directory + "/data", .rw = "randread", .cgroup = cgroup ? cgroup->path() : ""}, size, time);
  RETURN_IF_ERROR(writer.get().status());
  RETURN_IF_ERROR(read.status());
  return read->iops();
}

std::vector<Job> Jobs(const Settings& settings, const std::string& archive, const std::string& script,
                      int transactions) {
  const uint64_t size = settings.file_bytes / 4;
  const auto fio = [=](const char* rw, const char* block, int depth, bool direct, bool bandwidth,
                       std::vector<std::string> more) -> Measure {
    return [=](const std::string& directory) -> absl::StatusOr<double> {
      ASSIGN_OR_RETURN(
          const FioResult result,
          RunFio(
              {.file = directory + "/data", .rw = rw, .block = block, .depth = depth, .direct = direct, .more = more},
              size, settings.run));
      return bandwidth ? result.mb_per_s() : result.iops();
    };
  };
  return {
      {"randread_4k_qd32", "IOPS", fio("randread", "4k", 32, true, false, {}), true},
      {"randwrite_4k_qd32", "IOPS", fio("randwrite", "4k", 32, true, false, {})},
      {"read_1m_qd8", "MB/s", fio("read", "1M", 8, true, true, {}), true},
      {"write_1m_qd8", "MB/s", fio("write", "1M", 8, true, true, {})},
      {"fsync_write_4k", "IOPS", fio("randwrite", "4k", 1, false, false, {"--fsync=1"})},
      {"untar", "1/s",
       [=](const std::string& directory) -> absl::StatusOr<double> {
         ASSIGN_OR_RETURN(const double speed, PerSecond(directory, [&] { return Untar(archive, directory); }));
         RETURN_IF_ERROR(RemoveTree(directory));
         return speed;
       }},
      {"rm", "1/s",
       [=](const std::string& directory) -> absl::StatusOr<double> {
         RETURN_IF_ERROR(Untar(archive, directory));
         RETURN_IF_ERROR(SyncFs(directory));
         return PerSecond(directory, [&] { return RemoveTree(directory); });
       }},
      {"sqlite_wal", "1/s",
       [=](const std::string& directory) -> absl::StatusOr<double> {
         const std::string database = directory + "/database";
         ASSIGN_OR_RETURN(const double runs, PerSecond(directory, [&] {
                            return Run({"sqlite3", "-bail", database, ".read " + script});
                          }));
         RETURN_IF_ERROR(Run({"rm", "-f", database, database + "-wal", database + "-shm"}));
         return runs * transactions;
       }},
      // Last: several requests at a time, which qemu-storage-daemon's ext4 does not survive (README.md).
      {"read_beside_fsync", "IOPS",
       [=](const std::string& directory) { return ReadBesideSync(directory, size, settings.run, false); }},
      {"read_apart_from_fsync", "IOPS",
       [=](const std::string& directory) { return ReadBesideSync(directory, size, settings.run, true); }},
  };
}

}  // namespace

absl::StatusOr<Section> RunFilesystem(const Settings& settings) {
  const int files = static_cast<int>(settings.file_bytes >> 20);
  const int transactions = files / 4;
  testing::TestCluster cluster({.nodes = {"alpha"}});
  RETURN_IF_ERROR(cluster.Start());
  const std::string tree = cluster.Path("alpha", "bench");
  if (testing::MakeDir(tree) != 0 || testing::MakeDir(tree + "/work") != 0) {
    return absl::UnavailableError("cannot make a dataset: " + cluster.Why("bench"));
  }
  const std::string native = cluster.NativePath("alpha", "bench");
  if (native.empty()) return absl::UnavailableError("the dataset has no mount of its own: " + cluster.Why("bench"));

  BenchArray array(cluster.array());
  ASSIGN_OR_RETURN(const BenchArray::Lun lun, array.Add("qsd", 2 * settings.file_bytes, BenchArray::Content::kHoles));
  ASSIGN_OR_RETURN(const auto served, ServedFile::ByStorageDaemon(array, lun));
  const std::string local = array.directory() / "local";
  RETURN_IF_ERROR(MakeSparseFile(local, 2 * settings.file_bytes));
  // qemu-storage-daemon 7.2 writes the wrong data when its file gets several writes at once (README.md): so its loop
  // device has direct I/O for the workloads that read, and sends one write after the other through the page cache else.
  ASSIGN_OR_RETURN(LoopExt4 on_qsd,
                   LoopExt4::Make(served->path(), array.directory() / "on_qsd", LoopExt4::Content::kNew, false));
  ASSIGN_OR_RETURN(const LoopExt4 on_local,
                   LoopExt4::Make(local, array.directory() / "on_local", LoopExt4::Content::kNew, true));

  // The tree's directory is beside the native one's in the same dataset: what one reads is not in the other's cache.
  const std::vector<Place> places = {{kNative, native + "/native"},
                                     {kTree, tree + "/work"},
                                     {kStorageDaemon, array.directory() / "on_qsd/work"},
                                     {kLocal, array.directory() / "on_local/work"}};
  Section section{
      .name = "filesystem",
      .peers = {{kNative, "a dataset of a cluster (control, agent, tgtd), by /flocker/<uuid>"},
                {kTree, "the same, by /flocker/<node>/<name>"},
                {kStorageDaemon, "ext4, loop device (direct I/O for reads alone), " + served->command_line()},
                {kLocal, "ext4, loop device with direct I/O, a local file"}}};
  const std::string archive = array.directory() / "source.tar";
  const std::string script = array.directory() / "script.sql";
  RETURN_IF_ERROR(MakeArchive(array.directory().path(), files, archive));
  WriteSqliteScript(script, transactions);
  for (const Place& place : places) {
    std::error_code error;
    std::filesystem::create_directories(place.directory, error);
    RETURN_IF_ERROR(WriteFilledFile(place.directory + "/data", settings.file_bytes / 4));
    RETURN_IF_ERROR(WriteFilledFile(place.directory + "/log", kLogBytes));
  }

  for (const Job& job : Jobs(settings, archive, script, transactions)) {
    if (!absl::StrContains(job.name, settings.workload)) continue;
    std::fprintf(stderr, "filesystem: %s\n", job.name);
    RETURN_IF_ERROR(on_qsd.SetDirectIo(job.reads));
    Workload workload{.name = job.name, .unit = job.unit};
    RETURN_IF_ERROR(Alternate(settings.rounds, places.size(), [&](size_t i) -> absl::Status {
      ASSIGN_OR_RETURN(const double speed, job.measure(places[i].directory));
      workload.speed.Add(places[i].peer, speed);
      return absl::OkStatus();
    }));
    workload.Compare("ratio_vs_qsd", workload.speed, kNative, kStorageDaemon);
    workload.Compare("tree_vs_qsd", workload.speed, kTree, kStorageDaemon);
    workload.Compare("tree_of_native", workload.speed, kTree, kNative);
    workload.Compare("of_local", workload.speed, kNative, kLocal);
    settings.measured(workload);
    section.workloads.push_back(std::move(workload));
  }
  return section;
}

}  // namespace flocker::bench
