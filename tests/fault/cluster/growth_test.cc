// Datasets come and go by the thousand, and nothing of them stays: no descriptor, thread, memory or file.
//
// FLOCKER_CYCLES: how many are made, moved, destroyed and purged (100 unless set; half of them again before, to warm
// up).
#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

int Cycles() {
  const char* text = std::getenv("FLOCKER_CYCLES");
  int cycles = 0;
  return text != nullptr && absl::SimpleAtoi(text, &cycles) ? cycles : 100;
}

struct Usage {
  int64_t descriptors = 0;
  int64_t threads = 0;
  int64_t resident_kib = 0;
};

int64_t StatusField(const std::string& status, const std::string& name) {
  for (const absl::string_view line : absl::StrSplit(status, '\n')) {
    int64_t value = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    if (words.size() > 1 && words[0] == name && absl::SimpleAtoi(words[1], &value)) return value;
  }
  return 0;
}

Usage UsageOf(pid_t pid) {
  const std::string proc = absl::StrCat("/proc/", pid);
  const std::string status = ReadFile(proc + "/status").value_or("");
  const auto fds = std::filesystem::directory_iterator(proc + "/fd");
  return {.descriptors = std::distance(begin(fds), end(fds)),
          .threads = StatusField(status, "Threads"),
          .resident_kib = StatusField(status, "VmRSS")};
}

class Growth : public ClusterTest {
 protected:
  Growth()
      : ClusterTest({.control_flags = {"--reconcile-interval", "2"}, .agent_flags = {"--reconcile-interval", "2"}}) {}

  void Cycle(int n) {
    const std::string name = absl::StrCat("db", n);
    ASSERT_EQ(MakeDir(cluster_.Path("alpha", name)), 0) << cluster_.Why(name);
    ASSERT_EQ(Mv(name, "alpha", "beta"), 0) << cluster_.Why(name);
    ASSERT_EQ(RemoveDir(cluster_.Path("beta", name)), 0) << cluster_.Why(name);
    const CommandResult purged = cluster_.Ctl({"purge", name});
    ASSERT_EQ(purged.exit_code, 0) << purged.output;
  }
  std::map<std::string, Usage> Look() {
    std::map<std::string, Usage> all;
    const auto add = [&](const std::string& name, pid_t pid) { all[name] = UsageOf(pid); };
    add("control", cluster_.control().pid());
    add("tgtd", cluster_.array().pid());
    for (const char* node : {"alpha", "beta"}) {
      for (const pid_t pid : cluster_.Processes(node)) {
        const std::string comm = ReadFile(absl::StrCat("/proc/", pid, "/comm")).value_or("?");
        add(absl::StrCat(node, " ", comm.substr(0, comm.size() - 1)), pid);
      }
    }
    return all;
  }
  int64_t FilesBelow(const std::string& directory) {
    const auto files = std::filesystem::recursive_directory_iterator(directory);
    return std::distance(begin(files), end(files));
  }
};

TEST_F(Growth, OfNothingByDatasetsThatComeAndGo) {
  const int cycles = Cycles();
  int n = 0;
  while (n < cycles / 2 && !HasFatalFailure()) Cycle(n++);
  const auto before = Look();
  while (n < cycles / 2 + cycles && !HasFatalFailure()) Cycle(n++);
  const auto after = Look();
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, now] : after) {
    const Usage& then = before.at(name);
    std::printf("%-22s descriptors %ld -> %ld, threads %ld -> %ld, memory %ld -> %ld KiB\n", name.c_str(),
                then.descriptors, now.descriptors, then.threads, now.threads, then.resident_kib, now.resident_kib);
    // A few are under way just now, such as a reconciler's look or gRPC's threads.
    EXPECT_LE(now.descriptors, then.descriptors + 8) << name;
    EXPECT_LE(now.threads, then.threads + 4) << name;
    // What events, tombstones and caches take: bounded, some KiB a cycle until their bounds.
    EXPECT_LE(now.resident_kib, then.resident_kib + 4096 + 8L * cycles) << name;
  }
  for (const char* directory : {"/pool", "/alpha/lun", "/alpha/mnt", "/alpha/format", "/alpha/journal", "/beta/lun",
                                "/beta/mnt", "/beta/format", "/beta/journal"}) {
    EXPECT_EQ(FilesBelow(cluster_.dir() + directory), 0) << directory;
  }
  EXPECT_LE(FilesBelow(cluster_.dir() + "/control"), 64);
  EXPECT_FALSE(cluster_.Happened(" stray")) << cluster_.Ctl({"events"}).output;
}

}  // namespace
}  // namespace flocker::testing
