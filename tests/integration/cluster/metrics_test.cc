// What a monitor reads of a node, and of control.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/metrics_page.h"
#include "tests/harness/tgtd.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using ::testing::HasSubstr;

const std::string& Address() {
  static const std::string kAddress = absl::StrCat("127.0.0.1:", FreePort());
  return kAddress;
}

class NodeMetricsPage : public ClusterTest {
 protected:
  NodeMetricsPage() : ClusterTest({.nodes = {"alpha"}, .agent_flags = {"--metrics", Address()}}) {}

  std::string Page(const std::string& name) { return MetricLines(Address(), name); }
};

TEST_F(NodeMetricsPage, SaysWhatEachDatasetDoes) {
  EXPECT_EQ(Page("flocker_control_reachable"), "flocker_control_reachable 1\n");
  EXPECT_EQ(Page("flocker_dataset"), "") << "there is none";
  MakeOnAlpha("db");
  const std::string labels = absl::StrCat("{dataset=\"", cluster_.Id("db"), "\",name=\"db\"");
  EXPECT_EQ(Page("flocker_dataset_mounted"), absl::StrCat("flocker_dataset_mounted", labels, "} 1\n"));
  EXPECT_EQ(Page("flocker_dataset_session"), absl::StrCat("flocker_dataset_session", labels, "} 1\n"));
  EXPECT_EQ(Page("flocker_dataset_epoch"), absl::StrCat("flocker_dataset_epoch", labels, "} 1\n"));

  const auto written = [&] {
    const std::string line = Page(absl::StrCat("flocker_dataset_io_bytes_total", labels, ",direction=\"write"));
    return std::strtod(line.substr(line.rfind(' ') + 1).c_str(), nullptr);
  };
  const double before = written();
  EXPECT_GT(before, 0) << "mkfs wrote something";
  constexpr size_t kBytes = 8 << 20;
  const unique_fd file(open((cluster_.Path("alpha", "db") + "/data").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string data(kBytes, 'x');
  ASSERT_EQ(write(file.get(), data.data(), data.size()), static_cast<ssize_t>(kBytes));
  ASSERT_EQ(fsync(file.get()), 0);
  EXPECT_GE(written() - before, static_cast<double>(kBytes));

  const std::string steps = Page("flocker_step_seconds_count");
  for (const char* step : {"login", "loop", "format", "mount"}) {
    EXPECT_THAT(steps, HasSubstr(absl::StrCat("result=\"ok\",step=\"", step, "\"} 1\n"))) << steps;
  }
}

TEST_F(NodeMetricsPage, SaysThatControlIsAway) {
  EXPECT_THAT(Readiness(Address()), HasSubstr(" 200 "));
  cluster_.control().Kill();
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    const std::string answer = Readiness(Address());
    return absl::StrContains(answer, " 503 ") && absl::StrContains(answer, "not connected to control");
  }));
  EXPECT_TRUE(Eventually(absl::Seconds(20),
                         [&] { return Page("flocker_control_reachable") == "flocker_control_reachable 0\n"; }));
  ASSERT_TRUE(cluster_.StartControl().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(20),
                         [&] { return Page("flocker_control_reachable") == "flocker_control_reachable 1\n"; }));
}

class ControlMetricsPage : public ClusterTest {
 protected:
  ControlMetricsPage() : ClusterTest({.control_flags = {"--metrics", Address(), "--reconcile-interval", "1"}}) {}

  std::string Page(const std::string& name) { return MetricLines(Address(), name); }
};

TEST_F(ControlMetricsPage, CountsWhatHappenedAndHowLongItTook) {
  MakeOnAlpha("db");
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("beta", "db"); }));
  EXPECT_EQ(cluster_.Ctl({"move", "-d", "nothing", "-t", "alpha"}).exit_code, 3);
  EXPECT_NE(MakeDir(cluster_.Path("beta", "db")), 0);
  EXPECT_NE(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db"}).exit_code, 0);
  EXPECT_EQ(Page("flocker_events_total.*\"create\""), "flocker_events_total{kind=\"create\"} 1\n");
  EXPECT_EQ(Page("flocker_events_total.*\"released\""), "flocker_events_total{kind=\"released\"} 1\n");
  EXPECT_EQ(Page("flocker_refusals_total"), "flocker_refusals_total{cause=\"exists\"} 1\n");
  EXPECT_THAT(Page("flocker_phase_seconds_count"), HasSubstr("step=\"mount\"} 2\n"));
  EXPECT_THAT(Page("flocker_commit_seconds_bucket"), HasSubstr("le=\"+Inf\""));
  EXPECT_EQ(Page("flocker_datasets"), "flocker_datasets 1\n");
  EXPECT_THAT(Page("flocker_pool_bytes"), HasSubstr("kind=\"free\""));
}

TEST_F(ControlMetricsPage, SaysThatTheArrayIsAway) {
  const auto answers = [&](const char* status) {
    return Eventually(absl::Seconds(20), [&] { return absl::StrContains(Readiness(Address()), status); });
  };
  EXPECT_TRUE(answers(" 200 ")) << Readiness(Address());
  cluster_.array().Kill();
  EXPECT_TRUE(answers(" 503 "));
  EXPECT_THAT(Readiness(Address()), HasSubstr("the array does not answer: "));
  cluster_.array().Start();
  EXPECT_TRUE(answers(" 200 ")) << Readiness(Address());
}

class ReadinessOfControl : public ClusterTest {
 protected:
  // The reconciler's own look at the array is far away.
  ReadinessOfControl() : ClusterTest({.control_flags = {"--metrics", Address(), "--reconcile-interval", "3600"}}) {}

  // Within seconds, while nobody who asks is kept waiting.
  ::testing::AssertionResult Becomes(const char* status) {
    return Eventually(absl::Seconds(8), [&] {
      const absl::Time asked = absl::Now();
      const std::string answer = Readiness(Address());
      EXPECT_LT(absl::Now() - asked, absl::Seconds(2)) << answer;
      return absl::StrContains(answer, status);
    });
  }
};

TEST_F(ReadinessOfControl, FollowsTgtdWithinSeconds) {
  EXPECT_TRUE(Becomes(" 200 ")) << Readiness(Address());
  cluster_.array().Kill();
  EXPECT_TRUE(Becomes(" 503 "));
  EXPECT_THAT(Readiness(Address()), HasSubstr("the array does not answer: tgtadm"));
  cluster_.array().Start();
  EXPECT_TRUE(Becomes(" 200 ")) << Readiness(Address());
}

TEST_F(ReadinessOfControl, WaitsForNoTgtdThatHangs) {
  EXPECT_TRUE(Becomes(" 200 ")) << Readiness(Address());
  ASSERT_EQ(kill(cluster_.array().pid(), SIGSTOP), 0);
  EXPECT_TRUE(Becomes(" 503 "));
  ASSERT_EQ(kill(cluster_.array().pid(), SIGCONT), 0);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [] { return absl::StrContains(Readiness(Address()), " 200 "); }))
      << Readiness(Address());
}

}  // namespace
}  // namespace flocker::testing
