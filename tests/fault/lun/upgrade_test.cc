// A new flocker-lun beside the agent: what runs hands over to it, which is a pause too short to be noticed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/unique_fd.h"
#include "lun_victim.h"
#include "tests/harness/cluster.h"
#include "tests/harness/fio.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

constexpr int kUpgrades = 5;
constexpr absl::Duration kLongest = absl::Milliseconds(100);
constexpr absl::Duration kPatience = absl::Seconds(20);

// Writes one block after the other past the page cache; remembers the longest that one of them took, and errors.
class Stopwatch {
 public:
  explicit Stopwatch(const std::string& path)
      : fd_(open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600)), thread_([this] { Run(); }) {}
  ~Stopwatch() {
    stopping_ = true;
    thread_.join();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void Forget() { longest_ = 0; }
  absl::Duration longest() const { return absl::Nanoseconds(longest_.load()); }
  int error() const { return error_; }

 private:
  static constexpr size_t kBlock = 4096;

  void Run() {
    alignas(kBlock) std::array<char, kBlock> block{};
    for (int64_t writes = 0; !stopping_; ++writes) {
      const absl::Time begin = SteadyNow();
      if (pwrite(fd_.get(), block.data(), kBlock, (writes % 1024) * static_cast<off_t>(kBlock)) != kBlock) {
        error_ = errno;
        return;
      }
      longest_ = std::max(longest_.load(), absl::ToInt64Nanoseconds(SteadyNow() - begin));
    }
  }

  const unique_fd fd_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> longest_ = 0;
  std::atomic<int> error_ = 0;
  std::thread thread_;
};

// How often the text was an event.
size_t Times(TestCluster& cluster, const std::string& event) {
  const std::vector<std::string> parts = absl::StrSplit(cluster.Ctl({"events"}).output, event);
  return parts.size() - 1;
}

TEST(LunUpgrade, OfItsBinaryUnderLoadIsAPauseUnderAHundredMilliseconds) {
  namespace fs = std::filesystem;
  const ScratchDir binaries;
  for (const char* name : {"flocker-agent", "flocker-lun", "flocker-fs"}) {
    fs::copy_file(absl::StrCat(FLOCKER_BIN_DIR, "/", name), binaries / name);
  }
  TestCluster cluster({.nodes = {"alpha"}, .agent_binaries = binaries.path()});
  const Watchdog watchdog(cluster.dir(), absl::Minutes(3));
  ASSERT_TRUE(cluster.Start().ok());
  ASSERT_EQ(MakeDir(cluster.Path("alpha", "db")), 0) << cluster.Why("db");
  ASSERT_EQ(WriteFile(cluster.Path("alpha", "db") + "/file", "content\n"), 0);  // waits until it is attached
  const std::string native = cluster.NativePath("alpha", "db");
  ASSERT_FALSE(native.empty()) << cluster.Why("db");
  const LunVictim server(cluster.Id("db"), cluster.dir());

  // The machine is shared: of several pauses the shortest says what it takes.
  absl::Duration best = absl::InfiniteDuration();
  Fio load(native + "/load", cluster.dir() + "/load.log", 40, 1000, /*direct=*/true);
  {
    Stopwatch stopwatch(native + "/stopwatch");
    for (size_t upgrade = 1; upgrade <= kUpgrades; ++upgrade) {
      const pid_t before = server.Find();
      ASSERT_GT(before, 0);
      // A program that runs is replaced, not overwritten.
      fs::copy_file(absl::StrCat(FLOCKER_BIN_DIR, "/flocker-lun"), binaries / "new");
      fs::rename(binaries / "new", binaries / "flocker-lun");
      ASSERT_TRUE(cluster.agent("alpha").Stop().ok());
      stopwatch.Forget();
      ASSERT_TRUE(cluster.StartAgent("alpha").ok());
      ASSERT_TRUE(Eventually(kPatience, [&] { return Times(cluster, "logged in again on alpha") == upgrade; }))
          << cluster.Ctl({"events"}).output;
      const pid_t after = server.Find();
      EXPECT_TRUE(after > 0 && after != before) << after;
      EXPECT_EQ(stopwatch.error(), 0);
      std::cerr << "pause: " << stopwatch.longest() << "\n";
      best = std::min(best, stopwatch.longest());
    }
  }
  const absl::Status verified = load.Finish(absl::Minutes(1));
  EXPECT_TRUE(verified.ok()) << verified;
  EXPECT_LT(best, kLongest);
}

}  // namespace
}  // namespace flocker::testing
