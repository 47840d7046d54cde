// A node that is cut off, or stands still, while its dataset is taken away: never two writers.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/harness/wait.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class CutOff : public Scenario {
 protected:
  // node1 writes; `isolate` happens; the dataset is moved off by node3 and node2 writes; `restore` happens. All of
  // node1's acknowledged records are there, nothing of it came after node2's first, and it recovers by itself.
  void SingleWriterThroughout(const std::function<absl::Status()>& isolate,
                              const std::function<absl::Status()>& restore) {
    Create(1);
    RecordWriter first(node(1), "first", Path(1) + "/records");
    ASSERT_TRUE(first.Start());
    ASSERT_TRUE(first.WaitFor(20, absl::Minutes(1)));
    const absl::Time start = absl::Now();
    const int acknowledged = first.Acknowledged();
    const absl::Status isolated = isolate();
    ASSERT_TRUE(isolated.ok()) << isolated;
    // While it is not known to be cut off, a node that is in touch refuses: its writer is in the way.
    Until(node(3), absl::StrCat("mv ", Path(1), " ", Path(2), " || stat ", Path(2)));
    Until(node(2), absl::StrCat("ls ", Path(2)));
    RecordWriter second(node(2), "second", Path(2) + "/records");
    ASSERT_TRUE(second.Start());
    Report("failover, from the cut to the first record on the other node", absl::Now() - start);
    const absl::Status restored = restore();
    ASSERT_TRUE(restored.ok()) << restored;
    // The old writer learns of it, and meanwhile the new one goes on.
    EXPECT_TRUE(flocker::testing::Eventually(absl::Minutes(2), [&] { return !first.Error().empty(); }));
    ASSERT_TRUE(second.WaitFor(second.Acknowledged() + 20, absl::Minutes(1)));
    const int last = second.Acknowledged();
    second.End();
    Run(node(2), "echo 3 >/proc/sys/vm/drop_caches");
    const auto records = ReadRecords(node(2), Path(2) + "/records");
    ASSERT_EQ(records.size(), 2U) << "nothing of the first writer may come after the second one's";
    EXPECT_GE(records[0].second, acknowledged);
    EXPECT_GE(records[1].second, last);

    const absl::Time healed = absl::Now();
    const absl::Status whole = cluster().WaitWhole();
    ASSERT_TRUE(whole.ok()) << whole;
    Until(node(1), "! grep -q /data/agent/mnt /proc/mounts");
    Report("node1 clean again after it was back", absl::Now() - healed);
    Move(node(3), 2, 1);
    EXPECT_EQ(ReadRecords(node(1), Path(1) + "/records"), records);
    Run(node(1), "rmdir " + Path(1));
  }
};

class QuickCutOff : public CutOff {};

TEST_F(QuickCutOff, FromStorageAndControl) {
  SingleWriterThroughout([&] { return lab().Cut("node1", "array"); }, [&] { return lab().Heal(); });
}

TEST_F(CutOff, FromControlOnly) {
  SingleWriterThroughout([&] { return lab().Cut("node1", "array.control"); }, [&] { return lab().Heal(); });
}

TEST_F(CutOff, FromStorageOnly) {
  SingleWriterThroughout([&] { return lab().Cut("node1", "array.storage"); }, [&] { return lab().Heal(); });
}

TEST_F(CutOff, FromStorageOneWayOnly) {
  SingleWriterThroughout([&] { return lab().SetLinks("array.storage", "node1", {.cut = true}, /*one_way=*/true); },
                         [&] { return lab().Heal(); });
}

TEST_F(QuickCutOff, PausedInMidWrite) {
  SingleWriterThroughout([&] { return node(1).Pause(); }, [&] { return node(1).Resume(); });
}

TEST_F(CutOff, PausedForAMinuteInMidWrite) {
  absl::Time since;
  SingleWriterThroughout(
      [&] {
        since = absl::Now();
        return node(1).Pause();
      },
      [&] {
        EXPECT_TRUE(
            flocker::testing::Eventually(absl::Minutes(2), [&] { return absl::Now() - since > absl::Minutes(1); }));
        return node(1).Resume();
      });
}

}  // namespace
}  // namespace flocker::lab
