// The main job: what was written on one node is read on the other.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using Move = ClusterTest;

std::string Sha256(const std::string& path) {
  const auto output = RunChecked({"sha256sum", path}, absl::Seconds(30));
  return output.ok() ? output->substr(0, 64) : std::string(output.status().message());
}

TEST_F(Move, ThereAndBackTenTimesWithTheSameData) {
  MakeOnAlpha("db", RandomHex(4 << 20));
  const std::string written = Sha256(cluster_.Path("alpha", "db") + "/file");
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
    ASSERT_EQ(Sha256(cluster_.Path("beta", "db") + "/file"), written);
    ASSERT_EQ(WriteFile(cluster_.Path("beta", "db") + "/round", std::to_string(round)), 0);
    ASSERT_EQ(Mv("db", "beta", "alpha"), 0) << cluster_.Why("db");
    ASSERT_EQ(Sha256(cluster_.Path("alpha", "db") + "/file"), written);
    ASSERT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/round").value_or("unread"), std::to_string(round));
  }
}

TEST_F(Move, TakesANewNameAlong) {
  MakeOnAlpha("db");
  ASSERT_EQ(Rename(cluster_.Path("alpha", "db"), cluster_.tree("alpha") + "/beta/db2"), 0);
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db2") + "/file").value_or("unread"), "content\n");
  EXPECT_FALSE(cluster_.Find("db"));
}

TEST_F(Move, ADatasetMovedAwayIsRemoteNotEmpty) {
  MakeOnAlpha("db");
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0);
  EXPECT_EQ(Open(cluster_.tree("alpha") + "/beta/db/file"), EREMOTE);
  EXPECT_EQ(WriteFile(cluster_.tree("alpha") + "/beta/db/new", "x"), EREMOTE);
}

TEST_F(Move, OfAnIdleDatasetTakesWellUnderASecondAndTheEventsSayWhere) {
  MakeOnAlpha("db");
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("alpha", "db"); }));
  const absl::Time begin = absl::Now();
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0);
  ASSERT_EQ(Open(cluster_.Path("beta", "db") + "/file"), 0);  // waits for the attach
  const absl::Duration took = absl::Now() - begin;
  RecordProperty("milliseconds", static_cast<int>(absl::ToInt64Milliseconds(took)));
  EXPECT_LT(took, absl::Seconds(1));

  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("beta", "db"); }));
  const std::string events = cluster_.Ctl({"events"}).output;
  for (const char* step : {"gate ", "sync ", "umount ", "released ", "revoke ", "grant ", "login ", "mount "}) {
    EXPECT_TRUE(absl::StrContains(events, step)) << step << "is missing in\n" << events;
  }
}

TEST_F(Move, IsNotDisturbedByAFindThatRunsAllTheTime) {
  MakeOnAlpha("db");
  ASSERT_EQ(MakeDir(cluster_.Path("alpha", "db") + "/directory"), 0);
  // Both trees, again and again; what find says of files that move away under it is its business.
  ChildOptions options;
  options.argv = {"sh",
                  "-c",
                  "while :; do find \"$@\" >/dev/null 2>&1; done",
                  "find",
                  cluster_.tree("alpha"),
                  cluster_.tree("beta")};
  auto find = SpawnChild(options);
  ASSERT_TRUE(find.ok()) << find.status();
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
    ASSERT_EQ(Open(cluster_.Path("beta", "db") + "/file"), 0);
    ASSERT_EQ(Mv("db", "beta", "alpha"), 0) << cluster_.Why("db");
    ASSERT_EQ(Open(cluster_.Path("alpha", "db") + "/file"), 0);
  }
  EXPECT_FALSE(WaitEnd(find->pidfd, absl::ZeroDuration())) << "find ended, so nothing was tested";
  kill(find->pid, SIGKILL);
  WaitEnd(find->pidfd, absl::Seconds(10));
}

TEST_F(Move, WithinANodeOnlyChangesTheNameEvenWhileInUse) {
  MakeOnAlpha("db");
  const unique_fd held(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(held);
  ASSERT_EQ(Rename(cluster_.Path("alpha", "db"), cluster_.Path("alpha", "db2")), 0);
  EXPECT_EQ(pwrite(held.get(), "CONTENT", 7, 0), 7);
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db2") + "/file").value_or("unread"), "CONTENT\n");
}

TEST_F(Move, TwoDatasetsAtOnceInOppositeDirections) {
  MakeOnAlpha("a", "a");
  MakeOnAlpha("b", "b");
  ASSERT_EQ(Mv("b", "alpha", "beta"), 0);
  ASSERT_EQ(Open(cluster_.Path("beta", "b") + "/file"), 0);
  for (int round = 0; round < 3; ++round) {
    const bool out = round % 2 == 0;
    int other = -1;
    std::thread thread([&] { other = Mv("b", out ? "beta" : "alpha", out ? "alpha" : "beta"); });
    const int one = Mv("a", out ? "alpha" : "beta", out ? "beta" : "alpha");
    thread.join();
    ASSERT_EQ(one, 0) << cluster_.Why("a");
    ASSERT_EQ(other, 0) << cluster_.Why("b");
    ASSERT_EQ(ReadFile(cluster_.Path(out ? "beta" : "alpha", "a") + "/file").value_or("unread"), "a");
    ASSERT_EQ(ReadFile(cluster_.Path(out ? "alpha" : "beta", "b") + "/file").value_or("unread"), "b");
  }
}

}  // namespace
}  // namespace flocker::testing
