// Everything at once.
#include <gtest/gtest.h>

#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class WholeLab : public Scenario {};

TEST_F(WholeLab, AfterAPowerCutOfEverythingEveryDatasetReturnsWhereItWas) {
  Create(1);
  const std::string other = dataset_ + "-other";
  Run(node(2), "mkdir /flocker/node2/" + other + " && echo other >/flocker/node2/" + other +
                   "/file && sync /flocker/node2/" + other + "/file");
  RecordWriter writer(node(1), "only", Path(1) + "/records");
  ASSERT_TRUE(writer.Start());
  ASSERT_TRUE(writer.WaitFor(20, absl::Minutes(1)));
  const int acknowledged = writer.Acknowledged();
  const absl::Time start = absl::Now();
  for (Machine* machine : lab().machines()) machine->PowerCut();
  const absl::Status whole = cluster().Boot(absl::Minutes(4));
  ASSERT_TRUE(whole.ok()) << whole;
  Until(node(1), "ls " + Path(1) + "/records");
  Until(node(2), "ls /flocker/node2/" + other + "/file");
  Report("all back", absl::Now() - start);
  const auto records = ReadRecords(node(1), Path(1) + "/records");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_GE(records[0].second, acknowledged);
  EXPECT_EQ(Run(node(2), "cat /flocker/node2/" + other + "/file"), "other\n");
  Run(node(3), "rmdir " + Path(1) + " /flocker/node2/" + other);
}

}  // namespace
}  // namespace flocker::lab
