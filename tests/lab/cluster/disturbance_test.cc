// What happens to a node and must not be noticed by whoever writes there.
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class Disturbance : public Scenario {
 protected:
  using Scenario::Scenario;

  // node1 writes, and runs the command `load`, while `disturb` happens again and again; no error, nothing lost, nothing
  // fenced.
  void NobodyNotices(int times, const std::function<void()>& disturb, const std::string& load = "true") {
    Create(1);
    Run(node(1), absl::StrCat("rm -f /run/load.exit; (setsid bash -c '", load,
                              "' >/run/load.log 2>&1; echo $? >/run/load.exit) </dev/null >/dev/null 2>&1 &"));
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
    Until(node(1), "[[ -s /run/load.exit ]]", absl::Minutes(4));
    EXPECT_EQ(Run(node(1), "cat /run/load.exit"), "0\n") << Run(node(1), "tail -n 40 /run/load.log");
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

// Four writers at once; each block that they wrote is read again and checked.
std::string Load(const std::string& directory) {
  return absl::StrCat("fio --name=load --directory=", directory,
                      " --numjobs=4 --rw=randwrite --bs=4k --size=4M --fsync=16 --ioengine=psync --verify=crc32c "
                      "--verify_fatal=1 --group_reporting");
}

// The release's kernel cannot send requests again by itself: what was under way comes out of the arena.
TEST_F(QuickDisturbance, TheLunServerIsKilledUnderLoad) {
  NobodyNotices(
      5, [&] { Run(node(1), "kill -9 $(pidof flocker-lun)"); }, Load(Path(1)));
}

class LaterKernel : public Disturbance {
 protected:
  LaterKernel() : Disturbance({.nodes = 3, .kernel = "backports"}) {}
  void SetUp() override {
    const auto image = FindImage();
    ASSERT_TRUE(image.ok()) << image.status();
    if (!image->HasKernel("backports")) GTEST_SKIP() << "the image was built without bookworm-backports";
    Disturbance::SetUp();
    std::cout << "kernel " << Run(node(1), "uname -r");
  }
};

TEST_F(LaterKernel, TheLunServerIsKilledUnderLoad) {
  NobodyNotices(
      10, [&] { Run(node(1), "kill -9 $(pidof flocker-lun)"); }, Load(Path(1)));
}

class UnderSystemd : public Disturbance {
 protected:
  UnderSystemd() : Disturbance({.nodes = 3, .systemd = true}) {}
};

// Nobody of ours is left: systemd's descriptor store keeps what the successors go on with.
TEST_F(UnderSystemd, AgentAndLunServerAreKilledTogetherUnderLoad) {
  NobodyNotices(
      5, [&] { Run(node(1), "kill -9 $(pidof flocker-agent) $(pidof flocker-lun)"); }, Load(Path(1)));
  EXPECT_EQ(Run(node(1), "systemctl show --property NRestarts --value flocker-agent"), "5\n");
  EXPECT_EQ(Run(node(1), "grep -c 'its flocker-lun ended with the agent' /data/log/agent.log"), "5\n");
}

// What an upgrade of the node's package does: other files under the names, and the unit is restarted.
TEST_F(UnderSystemd, TheBinariesAreUpgradedUnderLoad) {
  NobodyNotices(
      3,
      [&] {
        Run(node(1),
            "cd /opt/lab/bin && for name in flocker-agent flocker-lun flocker-fs; do cp $name new && mv new $name; "
            "done "
            "&& systemctl restart flocker-agent");
        for (const char* name : {"flocker-agent", "flocker-lun", "flocker-fs"}) {
          Until(node(1), absl::StrCat("[[ /opt/lab/bin/", name, " -ef /proc/$(pidof ", name, ")/exe ]]"));
        }
      },
      Load(Path(1)));
}

TEST_F(Disturbance, TheTimeOfDayJumps) {
  int days = 0;
  NobodyNotices(4, [&] {
    const std::string set = absl::StrCat("date -s '", ++days % 2 == 1 ? "+1 day" : "-2 days", "'");
    Run(node(1), set);
    Run(array(), set);
  });
  for (Machine* machine : {&node(1), &array()}) {
    Run(*machine, absl::StrCat("date -s @", absl::ToUnixSeconds(absl::Now())));
  }
}

}  // namespace
}  // namespace flocker::lab
