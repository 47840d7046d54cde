// What happens to a node and must not be noticed by whoever writes there.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class Disturbance : public Scenario {
 protected:
  // node1 writes while `disturb` happens again and again; no error, nothing lost, nothing fenced.
  void NobodyNotices(int times, const std::function<void()>& disturb) {
    Create(1);
    RecordWriter writer(node(1), "only", Path(1) + "/records");
    ASSERT_TRUE(writer.Start());
    for (int i = 0; i < times; ++i) {
      ASSERT_TRUE(writer.WaitFor(writer.Acknowledged() + 20, absl::Minutes(2))) << writer.Error();
      disturb();
    }
    const int acknowledged = writer.Acknowledged() + 20;
    ASSERT_TRUE(writer.WaitFor(acknowledged, absl::Minutes(2))) << writer.Error();
    writer.End();
    EXPECT_EQ(writer.Error(), "");
    const auto events = cluster().Ctl("events");
    ASSERT_TRUE(events.ok()) << events.status();
    EXPECT_EQ(events->output.find(dataset_ + "  fenced"), std::string::npos) << events->output;
    Move(node(3), 1, 2);
    const auto records = ReadRecords(node(2), Path(2) + "/records");
    ASSERT_EQ(records.size(), 1U);
    EXPECT_GE(records[0].second, acknowledged);
    Run(node(2), "rmdir " + Path(2));
  }
};

class QuickDisturbance : public Disturbance {};

// The kernel here cannot send requests again by itself: what was under way comes out of the arena.
TEST_F(QuickDisturbance, TheLunServerIsKilled) {
  NobodyNotices(5, [&] { Run(node(1), "kill -9 $(pidof flocker-lun)"); });
}

TEST_F(Disturbance, TheTimeOfDayJumps) {
  int days = 0;
  NobodyNotices(4, [&] {
    const std::string set = absl::StrCat("date -s '", ++days % 2 == 1 ? "+1 day" : "-2 days", "'");
    Run(node(1), set);
    Run(array(), set);
  });
}

}  // namespace
}  // namespace flocker::lab
