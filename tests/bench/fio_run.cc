#include "tests/bench/fio_run.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker::bench {

absl::StatusOr<FioResult> RunFio(const FioJob& job, uint64_t size, absl::Duration time) {
  std::vector<std::string> argv = {"fio",
                                   "--name=bench",
                                   "--output-format=json",
                                   "--ioengine=libaio",
                                   "--allow_file_create=0",
                                   "--norandommap",
                                   "--time_based",
                                   absl::StrCat("--runtime=", absl::ToInt64Milliseconds(time), "ms"),
                                   absl::StrCat("--filename=", job.file),
                                   absl::StrCat("--rw=", job.rw),
                                   absl::StrCat("--bs=", job.block),
                                   absl::StrCat("--iodepth=", job.depth),
                                   absl::StrCat("--direct=", job.direct ? 1 : 0),
                                   absl::StrCat("--size=", size)};
  argv.insert(argv.end(), job.more.begin(), job.more.end());
  if (!job.cgroup.empty()) {
    argv.insert(argv.begin(), {"sh", "-c", R"(echo $$ >"$0" && exec "$@")", job.cgroup + "/cgroup.procs"});
  }
  ASSIGN_OR_RETURN(const std::string output, RunChecked(argv, time + absl::Seconds(60)));
  const size_t begin = output.find("{\n");  // behind what it may warn of
  const auto json = nlohmann::json::parse(output.begin() + static_cast<std::ptrdiff_t>(std::min(begin, output.size())),
                                          output.end(), nullptr, false);
  if (json.is_discarded() || !json.contains("jobs") || json["jobs"].empty()) {
    return absl::InternalError(absl::StrCat("fio's output is no JSON: ", output));
  }
  FioResult result;
  for (const char* direction : {"read", "write"}) {
    const auto& counted = json["jobs"][0][direction];
    result.ios += counted.value("total_ios", 0.0);
    result.bytes += counted.value("io_bytes", 0.0);
    result.seconds = std::max(result.seconds, counted.value("runtime", 0.0) / 1000);
  }
  if (result.ios == 0 || result.seconds == 0) return absl::InternalError(absl::StrCat("fio did nothing: ", output));
  const auto p99 = nlohmann::json::json_pointer("/jobs/0/read/clat_ns/percentile/99.000000");
  if (json.contains(p99)) result.read_p99_us = json[p99].get<double>() / 1000;
  return result;
}

}  // namespace flocker::bench
