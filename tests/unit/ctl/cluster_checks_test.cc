#include "engine/ctl/cluster_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/status.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;

const Asked kAsked{.from = absl::FromUnixSeconds(1000), .to = absl::FromUnixSeconds(1001)};

rpc::ViewReply Healthy() {
  rpc::ViewReply view;
  view.set_version(FLOCKER_VERSION);
  view.set_time_ms(1'000'500);
  view.add_nodes()->set_name("alpha");
  view.mutable_nodes(0)->set_connected(true);
  view.add_datasets()->set_name("db");
  view.mutable_pool()->set_size(100);
  view.mutable_pool()->set_free(50);
  return view;
}

Check Of(const absl::StatusOr<rpc::ViewReply>& view, const std::string& subject) {
  for (const Check& check : CheckCluster(view, "here", kAsked)) {
    if (check.subject == subject) return check;
  }
  ADD_FAILURE() << "nothing is said of " << subject;
  return {};
}

TEST(CheckCluster, FindsNothingWrongWithAHealthyOne) {
  for (const Check& check : CheckCluster(Healthy(), "here", kAsked)) {
    EXPECT_EQ(check.verdict, Verdict::kGood) << check.subject << ": " << check.found;
  }
}

TEST(CheckCluster, SaysWhyControlCannotBeReached) {
  const auto checks = CheckCluster(Refuse(Cause::kNoControl, "connection refused"), "array:4524", kAsked);
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_EQ(checks[0].verdict, Verdict::kBad);
  EXPECT_EQ(checks[0].found, "connection refused");
  EXPECT_THAT(checks[0].remedy, HasSubstr("array:4524"));
}

TEST(CheckCluster, MeasuresTheClockAgainstTheTimeAroundTheQuestion) {
  rpc::ViewReply view = Healthy();
  view.set_time_ms(1'002'000);  // a second late at least: not more than is allowed
  EXPECT_EQ(Of(view, "clock").verdict, Verdict::kGood);
  view.set_time_ms(1'004'000);
  EXPECT_THAT(Of(view, "clock").found, HasSubstr("3.000s"));
  view.set_time_ms(900'000);
  EXPECT_EQ(Of(view, "clock").verdict, Verdict::kWarning);
}

TEST(CheckCluster, NamesNodesAndDatasetsThatNeedALook) {
  rpc::ViewReply view = Healthy();
  view.mutable_nodes(0)->set_connected(false);
  view.mutable_datasets(0)->set_error("login refused");
  EXPECT_THAT(Of(view, "nodes").found, HasSubstr("alpha"));
  EXPECT_THAT(Of(view, "datasets").found, HasSubstr("db (login refused)"));
}

TEST(CheckCluster, WarnsOfALowPoolOfStraysAndOfAnotherVersion) {
  rpc::ViewReply view = Healthy();
  view.mutable_pool()->set_free(5);
  view.set_strays(2);
  view.set_version("0.0.0");
  for (const char* subject : {"pool", "strays", "control"}) EXPECT_EQ(Of(view, subject).verdict, Verdict::kWarning);
  EXPECT_EQ(Of(rpc::ViewReply(), "nodes").verdict, Verdict::kWarning);
}

TEST(FormatChecks, PutsTheRemedyBelow) {
  EXPECT_EQ(
      FormatChecks({{"kernel", Verdict::kGood, "Linux 6.1", ""}, {"tgtd", Verdict::kBad, "does not run", "start it"}},
                   false),
      "ok       kernel: Linux 6.1\n"
      "failed   tgtd: does not run\n"
      "         -> start it\n");
}

}  // namespace
}  // namespace flocker
