// Stopping, crashing and restarting our processes and the array does not fail the I/O of whoever uses a dataset, and
// does not lose an operation.
#include <signal.h>

#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "tests/harness/fio.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class Restart : public ClusterTest {
 protected:
  // Begins a move of "db" to beta and returns when it is under way and cannot go on: the array stands still, so the
  // release's flush does not come back. The result arrives in `moved`.
  void BeginMove() {
    ASSERT_EQ(kill(cluster_.array().pid(), SIGSTOP), 0);
    mover_ = std::thread([this] { moved_ = Mv("db", "alpha", "beta"); });
    ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
      const auto row = cluster_.Find("db");
      return row && row->status == "detaching";
    }));
  }
  void EndMove() {
    ASSERT_EQ(kill(cluster_.array().pid(), SIGCONT), 0);
    mover_.join();
  }
  void TearDown() override {
    kill(cluster_.array().pid(), SIGCONT);
    if (mover_.joinable()) mover_.join();
  }

  std::thread mover_;
  int moved_ = -1;
};

TEST_F(Restart, OfControlInTheMiddleOfAMove) {
  MakeOnAlpha("db");
  // What must be written when it is released, so that there is something to wait for.
  ASSERT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "before the move"), 0);
  BeginMove();
  ASSERT_TRUE(cluster_.control().Stop().ok());
  ASSERT_TRUE(cluster_.StartControl().ok());
  EndMove();
  EXPECT_EQ(moved_, 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "before the move");
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return cluster_.AttachedOn("beta", "db"); }));
}

TEST_F(Restart, OfControlKilledInTheMiddleOfAMove) {
  MakeOnAlpha("db");
  BeginMove();
  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  EndMove();
  EXPECT_EQ(moved_, 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "content\n");
}

TEST_F(Restart, OfControlKeepsEveryDataset) {
  MakeOnAlpha("db");
  MakeOnAlpha("db2");
  ASSERT_EQ(Mv("db2", "alpha", "beta"), 0);
  ASSERT_EQ(Open(cluster_.Path("beta", "db2") + "/file"), 0);
  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    return cluster_.AttachedOn("alpha", "db") && cluster_.AttachedOn("beta", "db2");
  })) << cluster_.Ctl({"ls"}).output;
}

TEST_F(Restart, OfTheArrayUnderLoadIsAPauseAndNoError) {
  MakeOnAlpha("db");
  Fio fio(cluster_.NativePath("alpha", "db") + "/fio", cluster_.dir() + "/fio.log", 64, 3000, true);
  for (const double point : {0.2, 0.5, 0.8}) {
    ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return fio.Progress() > point || !fio.running(); }));
    ASSERT_TRUE(fio.running()) << fio.Finish(absl::ZeroDuration());
    cluster_.array().Kill();
    cluster_.array().Start();
  }
  const absl::Status status = fio.Finish(absl::Minutes(2));
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(Restart, OfAnAgentUnderLoadIsNotNoticed) {
  MakeOnAlpha("db");
  const pid_t server = cluster_.LunServer("db");
  ASSERT_GT(server, 0);
  const std::string native = cluster_.NativePath("alpha", "db");
  Fio fio(cluster_.Path("alpha", "db") + "/fio", cluster_.dir() + "/fio.log", 64, 3000, false);
  for (const bool killed : {false, true}) {
    const double point = killed ? 0.6 : 0.2;
    ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return fio.Progress() > point || !fio.running(); }));
    ASSERT_TRUE(fio.running()) << fio.Finish(absl::ZeroDuration());
    if (killed) {
      cluster_.agent("alpha").Kill();
    } else {
      ASSERT_TRUE(cluster_.agent("alpha").Stop().ok());
    }
    ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  }
  const absl::Status status = fio.Finish(absl::Minutes(2));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(cluster_.LunServer("db"), server);
  EXPECT_EQ(cluster_.NativePath("alpha", "db"), native);
  EXPECT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");  // and the new agent can let go of it
}

}  // namespace
}  // namespace flocker::testing
