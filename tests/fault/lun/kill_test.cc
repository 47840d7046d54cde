// The LUN server dies under load and nobody notices: what its users see is a pause (engine/lun/TAKEOVER.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/volume/mountinfo.h"
#include "lun_victim.h"
#include "tests/harness/cluster.h"
#include "tests/harness/fio.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kBetweenKills = absl::Milliseconds(300);

// FLOCKER_KILLS: how many there are; by hand a hundred.
int Kills() {
  int kills = 0;
  const char* wanted = std::getenv("FLOCKER_KILLS");
  return wanted != nullptr && absl::SimpleAtoi(wanted, &kills) ? kills : 25;
}

// What the successors said: "epoch 7: resumed after 40 ms, 12 requests issued again".
struct Pauses {
  int count = 0;
  int64_t longest_ms = 0;
  int64_t reissued = 0;
};
Pauses ReadPauses(const std::string& log) {
  Pauses pauses;
  for (absl::string_view line : absl::StrSplit(log, '\n')) {
    const size_t at = line.find(": resumed after ");
    int64_t milliseconds = 0;
    int64_t reissued = 0;
    if (at == absl::string_view::npos) continue;
    if (std::sscanf(std::string(line.substr(at)).c_str(), ": resumed after %ld ms, %ld requests", &milliseconds,
                    &reissued) != 2) {
      continue;
    }
    ++pauses.count;
    pauses.longest_ms = std::max(pauses.longest_ms, milliseconds);
    pauses.reissued += reissued;
  }
  return pauses;
}

TEST(LunKill, UnderLoadIsAPauseAndNoError) {
  TestCluster cluster({.nodes = {"alpha"}});
  const Watchdog watchdog(cluster.dir(), absl::Minutes(4));
  ASSERT_TRUE(cluster.Start().ok());
  ASSERT_EQ(MakeDir(cluster.Path("alpha", "db")), 0) << cluster.Why("db");
  ASSERT_EQ(WriteFile(cluster.Path("alpha", "db") + "/file", "content\n"), 0);
  const std::string native = cluster.NativePath("alpha", "db");
  const auto row = cluster.Find("db");
  ASSERT_TRUE(row.has_value());
  const LunVictim victim(row->id, cluster.dir());

  const int kills = Kills();
  // As long as the kills take, and some more.
  Fio many(native + "/many", cluster.dir() + "/many.log", 3 * kills, 2500, /*direct=*/true);
  Fio synced(native + "/synced", cluster.dir() + "/synced.log", kills, 400, /*direct=*/false);
  int killed = 0;
  pid_t last = -1;
  absl::Time due = absl::Now() + kBetweenKills;
  while (killed < kills && (many.running() || synced.running())) {
    ASSERT_TRUE(Eventually(absl::Seconds(30),
                           [&] {
                             if (absl::Now() < due) return false;
                             const pid_t pid = victim.Kill(last);
                             if (pid > 0) last = pid;
                             return pid > 0;
                           }))
        << "no successor of " << last;
    ++killed;
    due = absl::Now() + kBetweenKills;
  }
  std::cerr << "killed " << killed << " of " << kills << " times\n";
  EXPECT_GE(killed, kills * 4 / 5) << "fio was done too early";
  for (Fio* fio : {&many, &synced}) {
    const absl::Status status = fio->Finish(absl::Minutes(2));
    EXPECT_TRUE(status.ok()) << status;
  }
  const auto mount = FindMount(native);
  ASSERT_TRUE(mount.ok() && mount->has_value());
  EXPECT_FALSE((*mount)->WritesFail()) << (*mount)->super_options;
  EXPECT_EQ((*mount)->mount_point, native);

  // Of what the killed ones had not answered, something was issued again.
  const Pauses pauses = ReadPauses(cluster.agent("alpha").log());
  std::cerr << pauses.count << " takeovers, " << pauses.reissued << " requests issued again, the longest pause since a "
            << "successor began " << pauses.longest_ms << " ms\n";
  EXPECT_GT(pauses.reissued, 0) << cluster.agent("alpha").log();

  // Its image as an orderly end leaves it.
  const int removed = RemoveDir(cluster.Path("alpha", "db"));
  ASSERT_TRUE(removed == 0 || removed == EINPROGRESS)
      << removed << cluster.Why("db");  // what is dirty is written first
  ASSERT_TRUE(Eventually(absl::Minutes(1), [&] { return !cluster.Find("db").has_value(); })) << cluster.Why("db");
  const auto checked =
      RunCommand({"e2fsck", "-fn", absl::StrCat(cluster.dir(), "/pool/", row->id, ".img")}, absl::Minutes(1));
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->exit_code, 0) << checked->output;
  EXPECT_FALSE(absl::StrContains(checked->output, "skipping journal recovery")) << checked->output;
}

}  // namespace
}  // namespace flocker::testing
