// Writers in a small memory cgroup: they slow down and finish. The LUN server is not among them, so that what they wait
// for, their dirty pages written, does not wait for them.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/harness/cluster.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

constexpr uint64_t kLimit = uint64_t{24} << 20;
constexpr int kWriters = 4;
constexpr int kEachMib = 64;  // together ten times the limit

// A memory cgroup of this test's own, whichever version has the controller; no path when neither can be made.
class MemoryGroup {
 public:
  MemoryGroup() {
    for (const char* root : {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"}) {
      const std::string path = absl::StrCat(root, "/flocker-test-", getpid());
      if (mkdir(path.c_str(), 0755) != 0) continue;
      for (const char* limit : {"/memory.limit_in_bytes", "/memory.max"}) {
        if (access((path + limit).c_str(), W_OK) != 0) continue;
        std::ofstream(path + limit) << kLimit;
        path_ = path;
        return;
      }
      rmdir(path.c_str());
    }
  }
  ~MemoryGroup() {
    if (path_.empty()) return;
    EXPECT_TRUE(Eventually(absl::Seconds(10), [this] { return rmdir(path_.c_str()) == 0; }));
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  const std::string& path() const { return path_; }
  // How often somebody in it met the limit and had to wait for pages to be given back.
  int64_t Reclaims() const {
    int64_t reclaims = 0;
    if (absl::SimpleAtoi(ReadFile(path_ + "/memory.failcnt").value_or(""), &reclaims)) return reclaims;
    const std::string events = ReadFile(path_ + "/memory.events").value_or("");
    for (absl::string_view line : absl::StrSplit(events, '\n')) {
      if (absl::ConsumePrefix(&line, "max ") && absl::SimpleAtoi(line, &reclaims)) return reclaims;
    }
    return 0;
  }

 private:
  std::string path_;
};

TEST(LunMemory, ADirtyPageStormInASmallCgroupFinishes) {
  const MemoryGroup group;
  if (group.path().empty()) GTEST_SKIP() << "no memory cgroup can be made here";
  TestCluster cluster({.nodes = {"alpha"}});
  const Watchdog watchdog(cluster.dir(), absl::Minutes(3));
  ASSERT_TRUE(cluster.Start().ok());
  ASSERT_EQ(MakeDir(cluster.Path("alpha", "db")), 0) << cluster.Why("db");
  ASSERT_EQ(WriteFile(cluster.Path("alpha", "db") + "/file", "content\n"), 0);  // waits until it is attached
  const std::string native = cluster.NativePath("alpha", "db");
  ASSERT_FALSE(native.empty()) << cluster.Why("db");
  const std::string cgroup = ReadFile(absl::StrCat("/proc/", cluster.LunServer("db"), "/cgroup")).value_or("");
  EXPECT_TRUE(absl::StrContains(cgroup, "/flocker-lun\n")) << cgroup;

  const std::string source = cluster.dir() + "/source";
  const auto run = [](const std::string& script) {
    const auto result = RunCommand({"sh", "-c", script}, absl::Minutes(2));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->exit_code, 0) << result->output;
  };
  run(absl::StrCat("dd if=/dev/urandom of=", source, " bs=1M count=", kEachMib, " status=none"));
  // The shell joins the group, and its children, which write as fast as they can, with it.
  const absl::Time begin = SteadyNow();
  run(absl::StrCat("echo $$ > ", group.path(), "/cgroup.procs; for i in $(seq ", kWriters, "); do dd if=", source,
                   " of=", native, "/f$i bs=256k conv=fsync status=none & p=\"$p $!\"; done; ",
                   "for p in $p; do wait $p || exit 1; done"));
  std::cerr << kWriters * kEachMib << " MiB under " << kLimit << " bytes took " << SteadyNow() - begin << ", "
            << group.Reclaims() << " times at the limit\n";
  EXPECT_GT(group.Reclaims(), 0);
  // What the array has, not what a page cache remembers.
  for (int i = 1; i <= kWriters; ++i) {
    run(absl::StrCat("dd if=", native, "/f", i, " iflag=direct bs=1M status=none | cmp - ", source));
  }
}

}  // namespace
}  // namespace flocker::testing
