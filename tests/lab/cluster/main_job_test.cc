// The main job on real machines.
#include <gtest/gtest.h>

#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class QuickMainJob : public Scenario {};

TEST_F(QuickMainJob, MadeByAnotherNodeMovedByAThirdAndReadOnTheNewOne) {
  Run(node(2), "mkdir " + Path(1));
  Run(node(1), "dd if=/dev/urandom of=" + Path(1) + "/file bs=1M count=16 conv=fsync status=none");
  const std::string before = Run(node(1), "sha256sum <" + Path(1) + "/file");
  Move(node(3), 1, 2);
  EXPECT_EQ(Run(node(2), "sha256sum <" + Path(2) + "/file"), before);
  EXPECT_FALSE(Succeeds(node(1), "cat " + Path(2) + "/file"));
  Run(node(3), "rmdir " + Path(2));
  EXPECT_FALSE(Succeeds(node(2), "stat " + Path(2)));
}

TEST_F(QuickMainJob, EveryAcknowledgedRecordSurvivesThePowerCutOfItsNode) {
  Create(1);
  RecordWriter first(node(1), "first", Path(1) + "/records");
  RecordWriter second(node(2), "second", Path(2) + "/records");
  Records records;
  ASSERT_NO_FATAL_FAILURE(FailOver(first, second, records));

  const absl::Status whole = cluster().Boot();
  ASSERT_TRUE(whole.ok()) << whole;
  EXPECT_EQ(Run(node(1), "grep -c /data/agent/mnt /proc/mounts || true"), "0\n");
  Move(node(3), 2, 1);
  EXPECT_EQ(ReadRecords(node(1), Path(1) + "/records"), records);
  Run(node(1), "rmdir " + Path(1));
}

}  // namespace
}  // namespace flocker::lab
