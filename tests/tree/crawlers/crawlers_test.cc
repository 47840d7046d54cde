// What walks over everything, because nobody told it not to, does no harm: nothing is attached for it, it does not
// hang, and nobody else waits for it. Each time all of them run at once.
//
//     find   updatedb   du   ls -lR   tab completion  ==>  alpha's tree: here (mounted), there (on beta), .trash
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/subprocess.h"
#include "tests/harness/watchdog.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kBound = absl::Seconds(10);    // for a walk over a few hundred files
constexpr absl::Duration kPatience = absl::Seconds(1);  // of somebody else who looks at the tree meanwhile

// Looks at the tree's upper levels without a pause, and keeps the longest time that one look took.
class Onlooker {
 public:
  explicit Onlooker(std::string tree) : tree_(std::move(tree)), thread_([this] { Run(); }) {}
  ~Onlooker() {
    if (thread_.joinable()) Stop();
  }
  Onlooker(const Onlooker&) = delete;
  Onlooker& operator=(const Onlooker&) = delete;

  absl::Duration Stop() {
    stop_ = true;
    thread_.join();
    return longest_;
  }

 private:
  void Run() {
    while (!stop_) {
      for (const char* path : {"/alpha", "/self", "/.flocker/version", "/.trash"}) {
        const absl::Time start = absl::Now();
        struct stat attributes {};
        struct statvfs space {};
        EXPECT_EQ(stat((tree_ + path).c_str(), &attributes), 0) << path;
        EXPECT_EQ(statvfs((tree_ + path).c_str(), &space), 0) << path;
        longest_ = std::max(longest_, absl::Now() - start);
      }
    }
  }

  const std::string tree_;
  std::atomic<bool> stop_ = false;
  absl::Duration longest_;
  std::thread thread_;
};

class Crawlers : public ClusterTest {
 protected:
  Crawlers() : ClusterTest({.control_flags = {"--heartbeat-timeout", "2", "--retention", "3600"}}) {}

  void SetUp() override {
    ClusterTest::SetUp();
    MakeOnAlpha("here");
    ASSERT_EQ(MakeDir(cluster_.Path("alpha", "here") + "/directory"), 0);
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(WriteFile(absl::StrCat(cluster_.NativePath("alpha", "here"), "/directory/file", i), "x"), 0);
    }
    MakeOnAlpha("gone");
    ASSERT_EQ(RemoveDir(cluster_.Path("alpha", "gone")), 0) << cluster_.Why("gone");
    ASSERT_EQ(MakeDir(cluster_.tree("alpha") + "/beta/there"), 0);
    ASSERT_EQ(WriteFile(cluster_.Path("beta", "there") + "/hidden", "x"), 0);
  }

  // All of them over alpha's tree, at once; what each said.
  std::map<std::string, std::string> Crawl(absl::Duration bound = kBound) {
    const std::string tree = cluster_.tree("alpha");
    const std::string database = cluster_.dir() + "/plocate.db";
    const std::map<std::string, std::vector<std::string>> commands = {
        {"find", {"find", tree}},
        {"updatedb",
         {"updatedb", "-U", tree, "-o", database, "--prunepaths", "", "--prunefs", "", "--prune-bind-mounts", "no",
          "--require-visibility", "no"}},
        {"du", {"du", "-a", tree}},
        {"ls", {"ls", "-lR", tree}},
        {"completion", {"bash", "-c", "compgen -f -- \"$1/alpha/h\"; compgen -d -- \"$1/\"", "bash", tree}},
    };
    std::map<std::string, std::string> said;
    for (const auto& [name, command] : commands) said[name];
    std::vector<std::thread> threads;
    for (const auto& [name, command] : commands) {
      threads.emplace_back([&said = said[name], name = name, command = command, bound] {
        const absl::Time start = absl::Now();
        const auto result = RunCommand(command, bound);
        EXPECT_TRUE(result.ok()) << name << " hangs: " << result.status();
        if (result.ok()) said = result->output;
        RecordTime(name, absl::Now() - start);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return said;
  }
  static void RecordTime(const std::string& name, absl::Duration took) {
    std::printf("%-10s %s\n", name.c_str(), absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))).c_str());
  }

  // What stands on this machine for the cluster's datasets: LUN servers, loop devices, mounts.
  std::vector<std::string> Attachments() const {
    std::vector<std::string> attachments;
    for (const std::string& line : cluster_.Belongings()) {
      if (!absl::StrContains(line, "flockerctl")) attachments.push_back(line);
    }
    return attachments;
  }
  size_t TreeThreads() const {
    const std::filesystem::directory_iterator tasks(absl::StrCat("/proc/", cluster_.TreeDaemon("alpha"), "/task"));
    return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
  }

  // They crawl, and it is as if nobody had.
  void ExpectHarmless() {
    const std::vector<std::string> before = Attachments();
    const size_t threads = TreeThreads();
    Onlooker onlooker(cluster_.tree("alpha"));
    const auto said = Crawl();
    EXPECT_LT(onlooker.Stop(), kPatience);
    EXPECT_EQ(absl::StrJoin(Attachments(), "\n"), absl::StrJoin(before, "\n"));
    // The one attachment's workers, 16 at most: a crawler has one and leaves another one with what it closed. And
    // gRPC's.
    EXPECT_LE(TreeThreads(), threads + 16 + 3);
    for (const char* crawler : {"find", "du", "ls"}) {
      EXPECT_TRUE(absl::StrContains(said.at(crawler), "file99")) << crawler << ": " << said.at(crawler);
      EXPECT_TRUE(absl::StrContains(said.at(crawler), "there")) << crawler << ": " << said.at(crawler);
      EXPECT_FALSE(absl::StrContains(said.at(crawler), "hidden")) << crawler << " was let in: " << said.at(crawler);
    }
    EXPECT_TRUE(absl::StrContains(said.at("completion"), "/alpha/here\n")) << said.at("completion");
    const auto located = RunCommand({"plocate", "-d", cluster_.dir() + "/plocate.db", "file99"}, absl::Seconds(10));
    ASSERT_TRUE(located.ok()) << located.status();
    EXPECT_TRUE(absl::StrContains(located->output, "/alpha/here/directory/file99")) << located->output;
  }

  Watchdog watchdog_{cluster_.dir(), absl::Minutes(2)};
};

TEST_F(Crawlers, AreHarmless) { ExpectHarmless(); }

TEST_F(Crawlers, AreHarmlessWithANodeDown) {
  // The agent alone: what serves beta's LUN must go on, or this machine's `sync` would hang.
  const pid_t agent = cluster_.agent("beta").pid();
  ASSERT_EQ(kill(agent, SIGSTOP), 0);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return !cluster_.Connected("beta"); }));
  ExpectHarmless();
  ASSERT_EQ(kill(agent, SIGCONT), 0);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return cluster_.Connected("beta"); }));
}

TEST_F(Crawlers, AreHarmlessWithControlStoppedAndWithControlDead) {
  ASSERT_EQ(kill(cluster_.control().pid(), SIGSTOP), 0);
  ExpectHarmless();
  ASSERT_EQ(kill(cluster_.control().pid(), SIGCONT), 0);
  cluster_.control().Kill();
  ExpectHarmless();
  ASSERT_TRUE(cluster_.StartControl().ok());
}

TEST_F(Crawlers, AreHarmlessWithTheArrayGone) {
  // It answers nothing any more, and its sessions stay: what is to be had without it is to be had.
  ASSERT_EQ(kill(cluster_.array().pid(), SIGSTOP), 0);
  ExpectHarmless();
  ASSERT_EQ(kill(cluster_.array().pid(), SIGCONT), 0);
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "here") + "/after", "x"), 0);
}

TEST_F(Crawlers, AreHarmlessWithTwentyOperationsInFlight) {
  // Made, and renamed to and fro, from both trees. The kernel lets one at a time change a directory; the others wait
  // for it, as a crawler does, which then has its turn.
  constexpr int kOperations = 20;
  std::atomic<bool> stop = false;
  std::atomic<int> renamed = 0;
  std::vector<std::thread> operations;
  for (int i = 0; i < kOperations; ++i) {
    operations.emplace_back([this, i, &stop, &renamed] {
      const std::string directory =
          absl::StrCat(cluster_.tree(i % 4 < 2 ? "alpha" : "beta"), i % 2 == 0 ? "/alpha" : "/beta", "/");
      const std::string one = absl::StrCat(directory, "new", i);
      const std::string other = absl::StrCat(directory, "renamed", i);
      EXPECT_EQ(MakeDir(one), 0) << one;
      for (int round = 0; !stop; ++round) {
        EXPECT_EQ(Rename(round % 2 == 0 ? one : other, round % 2 == 0 ? other : one), 0) << one;
        ++renamed;
      }
    });
  }
  Onlooker onlooker(cluster_.tree("alpha"));
  const auto said = Crawl(absl::Seconds(40));
  EXPECT_LT(onlooker.Stop(), kPatience);
  stop = true;
  for (std::thread& operation : operations) operation.join();
  EXPECT_GT(renamed, kOperations);
  EXPECT_TRUE(absl::StrContains(said.at("find"), "file99")) << said.at("find");
  EXPECT_EQ(cluster_.List().size(), 2U + kOperations);
}

}  // namespace
}  // namespace flocker::testing
