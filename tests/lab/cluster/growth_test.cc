// A dataset grows while it is mounted and written to: online, which takes CAP_SYS_RESOURCE.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class Growth : public Scenario {
 protected:
  // In GiB, as df shows it, rounded up.
  std::string Space() const { return "df --output=size -BG " + Path(1) + " | tail -n1 | tr -dc 0-9"; }
};

TEST_F(Growth, OfAMountedFilesystemUnderVerifiedWrites) {
  Create(1);  // 75 GiB
  RecordWriter writer(node(1), "writer", Path(1) + "/records");
  ASSERT_TRUE(writer.Start());
  Run(node(1), "(fio --name=grow --filename=" + Path(1) +
                   "/fio --size=1M --rw=randwrite --bs=4k --ioengine=libaio --iodepth=8 --direct=1 --verify=crc32c "
                   "--verify_fatal=1 >/run/fio.log 2>&1; echo $? >/run/fio.code) >/dev/null 2>&1 </dev/null &");
  for (const int gib : {80, 160, 400}) {
    const absl::Time asked = absl::Now();
    Run(node(1), absl::StrCat("setfattr -n flocker.size -v ", gib, "G ", Path(1)));
    Until(node(1), absl::StrCat("test $(", Space(), ") -ge ", gib * 95 / 100));  // less ext4's own tables
    Report(absl::StrCat("grown to ", gib, " GiB"), absl::Now() - asked);
  }
  EXPECT_FALSE(Succeeds(node(1), "getfattr -n flocker.error " + Path(1))) << "nothing is left to follow";
  const int acknowledged = writer.Acknowledged();
  EXPECT_TRUE(writer.WaitFor(acknowledged + 5, absl::Minutes(1)));
  Until(node(1), "test -e /run/fio.code");
  EXPECT_EQ(Run(node(1), "cat /run/fio.code"), "0\n") << Run(node(1), "cat /run/fio.log");
  writer.End();
  const auto records = ReadRecords(node(1), Path(1) + "/records");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_GE(records[0].second, acknowledged);
  // A session that is renewed in mid-growth is told of at once: mv would fence a node that counts as cut off.
  const auto events = cluster().Ctl("events");
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->output.find(dataset_ + "  cut-off"), std::string::npos) << events->output;
  Move(node(2), 1, 3);
  EXPECT_EQ(ReadRecords(node(3), Path(3) + "/records"), records);
  Run(node(3), "rmdir " + Path(3));
}

}  // namespace
}  // namespace flocker::lab
