#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "tests/bench/fio_run.h"
#include "tests/bench/flush_check.h"
#include "tests/bench/sections.h"
#include "tests/bench/served_file.h"

namespace flocker::bench {
namespace {

constexpr char kFlocker[] = "flocker";
constexpr char kAgainst[] = "against";
constexpr char kStorageDaemon[] = "qsd";
constexpr char kLimit[] = "iscsi-perf";
constexpr char kFile[] = "file";

struct Pattern {
  const char* name;
  const char* rw;  // fio's
  const char* block;
  int depth;
  bool bandwidth = false;          // MB/s is what it is about, not IOPS
  std::vector<std::string> more;   // fio's arguments
  std::optional<int> perf_blocks;  // iscsi-perf's block, in sectors of 512 bytes: it reads, and does nothing else
};

const std::vector<Pattern>& Patterns() {
  static const std::vector<Pattern> patterns = {
      {"randread_4k_qd1", "randread", "4k", 1, false, {}, 8},
      {"randread_4k_qd32", "randread", "4k", 32, false, {}, 8},
      {"randwrite_4k_qd1", "randwrite", "4k", 1, false, {}, std::nullopt},
      {"randwrite_4k_qd32", "randwrite", "4k", 32, false, {}, std::nullopt},
      {"mixed_16k_qd16", "randrw", "16k", 16, false, {"--rwmixread=70"}, std::nullopt},
      {"read_1m_qd8", "read", "1M", 8, true, {}, 2048},
      {"write_1m_qd8", "write", "1M", 8, true, {}, std::nullopt},
      {"fsync_write_4k", "randwrite", "4k", 1, false, {"--fsync=1"}, std::nullopt},
  };
  return patterns;
}

struct Measured {
  double speed = 0;
  std::optional<double> cpu_per_100k;
};

double ChildrenCpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

// `server` may be null: then fio's file is nobody's.
absl::StatusOr<Measured> RunPattern(const Pattern& pattern, const std::string& file, const ServedFile* server,
                                    const Settings& settings) {
  const double before = server == nullptr ? 0 : server->CpuSeconds().value_or(0);
  ASSIGN_OR_RETURN(const FioResult result, RunFio({.file = file,
                                                   .rw = pattern.rw,
                                                   .block = pattern.block,
                                                   .depth = pattern.depth,
                                                   .direct = server != nullptr,
                                                   .more = pattern.more},
                                                  settings.file_bytes, settings.run));
  Measured measured{.speed = pattern.bandwidth ? result.mb_per_s() : result.iops()};
  if (server != nullptr) {
    ASSIGN_OR_RETURN(const double after, server->CpuSeconds());
    measured.cpu_per_100k = (after - before) / result.ios * 1e5;
  }
  return measured;
}

std::vector<std::string> PerfArguments(const BenchArray& array, const BenchArray::Lun& lun, const Pattern& pattern,
                                       absl::Duration time) {
  std::vector<std::string> argv = {"iscsi-perf",
                                   "-b",
                                   absl::StrCat(*pattern.perf_blocks),
                                   "-m",
                                   absl::StrCat(pattern.depth),
                                   "-t",
                                   absl::StrCat(std::max<int64_t>(1, absl::ToInt64Seconds(time)))};
  if (absl::StartsWith(pattern.rw, "rand")) argv.push_back("-r");
  argv.push_back(absl::StrCat("iscsi://", array.tgtd().portal(), "/", lun.target, "/1"));
  return argv;
}

absl::StatusOr<Measured> RunIscsiPerf(const std::vector<std::string>& argv, const Pattern& pattern) {
  const double before = ChildrenCpuSeconds();
  ASSIGN_OR_RETURN(const std::string output, RunChecked(argv, absl::Seconds(120)));
  const double cpu = ChildrenCpuSeconds() - before;
  constexpr std::string_view kAverage = "iops average ";
  const size_t at = output.rfind(kAverage);
  const double iops = at == std::string::npos ? 0 : std::atof(output.c_str() + at + kAverage.size());
  if (iops <= 0) return absl::InternalError(absl::StrCat("iscsi-perf says no figure: ", output));
  const double seconds = std::atof(argv[6].c_str());
  const double bytes = *pattern.perf_blocks * 512;
  return Measured{.speed = pattern.bandwidth ? iops * bytes / 1e6 : iops, .cpu_per_100k = cpu / (iops * seconds) * 1e5};
}

}  // namespace

absl::StatusOr<Section> RunBlock(const Settings& settings) {
  const testing::Tgtd tgtd;
  BenchArray array(tgtd);
  Section section{.name = "block"};
  std::fprintf(stderr, "block: filling the LUNs\n");
  struct Served {
    std::string peer;
    std::unique_ptr<ServedFile> file;
  };
  std::vector<Served> served;
  const auto serve = [&](const std::string& peer, const std::string& binary) -> absl::Status {
    ASSIGN_OR_RETURN(const BenchArray::Lun lun, array.Add(peer, settings.file_bytes, BenchArray::Content::kRandom));
    ASSIGN_OR_RETURN(auto file, binary.empty() ? ServedFile::ByStorageDaemon(array, lun)
                                               : ServedFile::ByFlockerLun(array, lun, binary));
    section.peers.emplace_back(peer, file->command_line());
    RETURN_IF_ERROR(CheckFlushes(file->path(), array.tgtd().pid(), array.directory() / (peer + ".flushes")));
    served.push_back({peer, std::move(file)});
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(serve(kFlocker, settings.flocker_lun));
  if (!settings.against.empty()) RETURN_IF_ERROR(serve(kAgainst, settings.against));
  RETURN_IF_ERROR(serve(kStorageDaemon, ""));
  ASSIGN_OR_RETURN(const BenchArray::Lun bare, array.Add("bare", settings.file_bytes, BenchArray::Content::kRandom));
  section.peers.emplace_back(
      kLimit, absl::StrJoin(PerfArguments(array, bare, Patterns().front(), settings.run), " ") + " (and so on)");
  const std::string local = array.directory() / "local";
  RETURN_IF_ERROR(WriteFilledFile(local, settings.file_bytes));
  section.peers.emplace_back(kFile, "a file beside the array's, through the page cache as tgtd uses them");
  section.peers.emplace_back("array", absl::StrCat("tgtd -t 2, rdwr, a LUN of ", settings.file_bytes >> 20,
                                                   " MiB for each, filled; each flush "
                                                   "was seen to sync the array's file"));

  for (const Pattern& pattern : Patterns()) {
    if (!absl::StrContains(pattern.name, settings.workload)) continue;
    std::fprintf(stderr, "block: %s\n", pattern.name);
    Workload workload{.name = pattern.name, .unit = pattern.bandwidth ? "MB/s" : "IOPS"};
    std::vector<std::pair<std::string, std::function<absl::StatusOr<Measured>()>>> turns;
    for (const Served& peer : served) {
      turns.emplace_back(peer.peer, [&] { return RunPattern(pattern, peer.file->path(), peer.file.get(), settings); });
    }
    if (pattern.perf_blocks) {
      turns.emplace_back(kLimit,
                         [&] { return RunIscsiPerf(PerfArguments(array, bare, pattern, settings.run), pattern); });
    }
    turns.emplace_back(kFile, [&] { return RunPattern(pattern, local, nullptr, settings); });
    RETURN_IF_ERROR(Alternate(settings.rounds, turns.size(), [&](size_t i) -> absl::Status {
      ASSIGN_OR_RETURN(const Measured measured, turns[i].second());
      workload.speed.Add(turns[i].first, measured.speed);
      if (measured.cpu_per_100k) workload.cpu.Add(turns[i].first, *measured.cpu_per_100k);
      return absl::OkStatus();
    }));
    workload.Compare("ratio_vs_qsd", workload.speed, kFlocker, kStorageDaemon);
    workload.Compare("of_limit", workload.speed, kFlocker, kLimit);
    workload.Compare("of_file", workload.speed, kFlocker, kFile);
    workload.Compare("cpu_vs_qsd", workload.cpu, kFlocker, kStorageDaemon);
    workload.Compare("ratio_vs_against", workload.speed, kFlocker, kAgainst);
    workload.Compare("cpu_vs_against", workload.cpu, kFlocker, kAgainst);
    settings.measured(workload);
    section.workloads.push_back(std::move(workload));
  }
  return section;
}

}  // namespace flocker::bench
