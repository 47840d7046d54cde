// The array machine, and control with it, goes away under load and comes back.
#include <gtest/gtest.h>

#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class ArrayOutage : public Scenario {
 protected:
  // node2 has a dataset, too. node1 writes while `outage` happens to the array machine; the writer sees a pause and no
  // error.
  void OnlyAPause(const std::function<absl::Status()>& outage) {
    Create(1);
    const std::string other = Path(2) + "-other";
    Run(node(2), "mkdir " + other + " && ls " + other);
    RecordWriter writer(node(1), "only", Path(1) + "/records");
    ASSERT_TRUE(writer.Start());
    ASSERT_TRUE(writer.WaitFor(20, absl::Minutes(1)));
    const int acknowledged = writer.Acknowledged();
    const absl::Time start = absl::Now();
    const absl::Status happened = outage();
    ASSERT_TRUE(happened.ok()) << happened;
    const int before = writer.Acknowledged();
    ASSERT_TRUE(writer.WaitFor(before + 1, absl::Minutes(2)));
    Report("pause, from the outage to the next record", absl::Now() - start);
    ASSERT_TRUE(writer.WaitFor(before + 20, absl::Minutes(2)));
    EXPECT_EQ(writer.Error(), "");
    writer.End();
    // Every target and every grant is back, not only those of whoever waits for them.
    Run(node(2), "echo there >" + other + "/file && sync " + other + "/file && rmdir " + other);
    // What is on the LUN, not in node1's memory.
    Move(node(3), 1, 2);
    const auto records = ReadRecords(node(2), Path(2) + "/records");
    ASSERT_EQ(records.size(), 1U);
    EXPECT_GE(records[0].second, std::max(acknowledged, before + 20));
    Run(node(2), "rmdir " + Path(2));
  }
};

class QuickArrayOutage : public ArrayOutage {};

TEST_F(QuickArrayOutage, APowerCutLosesNothingThatFsyncAcknowledged) {
  OnlyAPause([&]() -> absl::Status {
    array().PowerCut();
    if (const absl::Status booted = array().Boot(); !booted.ok()) return booted;
    return array().WaitReady();
  });
}

TEST_F(ArrayOutage, AnOrderlyRebootIsAPause) {
  OnlyAPause([&]() -> absl::Status {
    if (const absl::Status down = array().Shutdown(); !down.ok()) return down;
    if (const absl::Status booted = array().Boot(); !booted.ok()) return booted;
    return array().WaitReady();
  });
}

TEST_F(ArrayOutage, ControlIsKilledAndNobodyNotices) {
  OnlyAPause([&]() -> absl::Status { return cluster().Ctl("version; kill -9 $(pidof flocker-control)").status(); });
}

TEST_F(ArrayOutage, TgtdIsKilledAndItIsAPause) {
  OnlyAPause([&]() -> absl::Status { return array().guest().Run("kill -9 $(pidof tgtd)").status(); });
}

}  // namespace
}  // namespace flocker::lab
