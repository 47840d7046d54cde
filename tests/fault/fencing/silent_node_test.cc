// mv off a node that says nothing any more: killed, paused in mid-write, or cut off from the network.
//
//   alpha: writer -> ext4 -> loop -> flocker-lun --iSCSI--> tgtd        beta: mv /flocker/alpha/db /flocker/beta/
//
// Alpha's writer numbers its writes. What is on the LUN when beta has it is all of them that will ever be there,
// whatever alpha still had under way; and alpha, when it is back, gets errors, cleans up and is a node like any other.
#include <signal.h>

#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "tests/harness/frozen_pool.h"
#include "tests/harness/numbered_writer.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kHeartbeatTimeout = absl::Seconds(5);  // flocker-control's default
constexpr absl::Duration kBeyondIt = absl::Seconds(2);
constexpr absl::Duration kWhenDown = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr char kOld[] = "written on alpha";
constexpr char kNew[] = "written on beta";

class SilentNode : public ClusterTest {
 protected:
  explicit SilentNode(const ClusterOptions& options = {}) : ClusterTest(options) {}

  void SetUp() override {
    ClusterTest::SetUp();
    ASSERT_NO_FATAL_FAILURE(CreateOnAlpha("db"));
    lun_ = cluster_.BackingFile("db");
    writer_.emplace(cluster_.NativePath("alpha", "db") + "/numbers", kOld);
    ASSERT_TRUE(Eventually(kPatience, [&] { return writer_->acknowledged() > 500; })) << writer_->error();
  }
  void TearDown() override {
    cluster_.SignalNode("alpha", SIGCONT);
    if (writer_) writer_->Kill();
  }

  void CreateOnAlpha(const std::string& name) {
    const CommandResult made = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=" + name, "-s", "128M"});
    ASSERT_EQ(made.exit_code, 0) << made.output;
    ASSERT_TRUE(Eventually(kPatience, [&] { return !cluster_.NativePath("alpha", name).empty(); }));
  }

  // Nobody touches alpha's tree meanwhile: its flocker-fs may be as silent as the rest.
  int MvToBeta() { return Rename(absl::StrCat(cluster_.tree("beta"), "/alpha/db"), cluster_.Path("beta", "db")); }
  std::string OnBeta() { return cluster_.Path("beta", "db") + "/numbers"; }

  // From mv to data that can be read; it must not take longer than `bound`.
  void MoveWithin(absl::Duration bound) {
    acknowledged_ = writer_->acknowledged();
    const absl::Time start = absl::Now();
    ASSERT_EQ(MvToBeta(), 0) << cluster_.Why("db");
    const absl::Duration let_go = absl::Now() - start;
    ASSERT_TRUE(ReadFile(OnBeta()).ok());
    const absl::Duration took = absl::Now() - start;
    std::cout << "mv off a silent node: let go after " << let_go << ", readable after " << took << ", bound " << bound
              << "\n";
    EXPECT_LE(took, bound) << cluster_.Ctl({"events"}).output;
    ASSERT_NO_FATAL_FAILURE(TakeOver());
  }

  // What alpha wrote is all there, and from now on it is beta's.
  void TakeOver() {
    const auto last = HighestNumber(lun_, kOld);
    ASSERT_TRUE(last.ok()) << last.status();
    EXPECT_GE(*last, acknowledged_) << "an acknowledged write is lost";
    last_ = *last;
    ASSERT_TRUE(FillWith(OnBeta(), kNew).ok());
  }

  // Alpha is back: its writer got an error, nothing of what it held is left there, and it can hold things again.
  void ExpectAlphaCleansUpAndRejoins() {
    EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->error() != 0; }));
    writer_->Kill();
    EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->Ended(); })) << "a write waits for ever";
    ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Connected("alpha"); }));
    EXPECT_TRUE(Eventually(kPatience, [&] { return NothingHeldOn("alpha"); })) << Held("alpha");
    ExpectNothingOfAlphaArrived();
    ASSERT_NO_FATAL_FAILURE(CreateOnAlpha("next"));
    EXPECT_EQ(WriteFile(cluster_.Path("alpha", "next") + "/file", "content"), 0);
    ASSERT_EQ(Rename(absl::StrCat(cluster_.tree("alpha"), "/beta/db"), cluster_.Path("alpha", "db")), 0)
        << cluster_.Why("db");
    EXPECT_EQ(HighestNumber(cluster_.Path("alpha", "db") + "/numbers", kNew).value_or(0), NumberedWriter::kSlots);
  }

  void ExpectNothingOfAlphaArrived() {
    EXPECT_LE(HighestNumber(lun_, kOld).value_or(UINT64_MAX), last_) << "alpha wrote after it was fenced";
    const std::string all = OnBeta();
    EXPECT_EQ(HighestNumber(all, kOld).value_or(UINT64_MAX), 0u) << "alpha wrote over what beta wrote";
    EXPECT_EQ(HighestNumber(all, kNew).value_or(0), NumberedWriter::kSlots);
  }

  std::string Held(const std::string& node) {
    std::string held;
    for (const std::string& line : cluster_.Belongings()) {
      const bool stack = absl::StrContains(line, absl::StrCat(cluster_.dir(), "/", node, "/mnt/")) ||
                         absl::StrContains(line, absl::StrCat(cluster_.dir(), "/", node, "/lun/")) ||
                         line.starts_with("loop");
      if (stack && !absl::StrContains(line, "/beta/")) absl::StrAppend(&held, line, "\n");
    }
    return held;
  }
  bool NothingHeldOn(const std::string& node) { return cluster_.Processes(node).size() == 2; }  // agent, flocker-fs

  std::string lun_;
  std::optional<NumberedWriter> writer_;
  uint64_t acknowledged_ = 0;
  uint64_t last_ = 0;  // of alpha's, when beta had it
};

// LUNs of tgt, or files of this machine: what control cuts off there is a process beside it.
class SilentNodeOf : public SilentNode, public ::testing::WithParamInterface<const char*> {
 protected:
  SilentNodeOf() : SilentNode({.local_array = std::string_view(GetParam()) == "Local"}) {}
};
INSTANTIATE_TEST_SUITE_P(, SilentNodeOf, ::testing::Values("Tgt", "Local"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(SilentNodeOf, Killed) {
  cluster_.SignalNode("alpha", SIGKILL);
  ASSERT_NO_FATAL_FAILURE(MoveWithin(kHeartbeatTimeout + kBeyondIt));
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  ExpectAlphaCleansUpAndRejoins();
}

TEST_P(SilentNodeOf, PausedInMidWrite) {
  cluster_.SignalNode("alpha", SIGSTOP);
  ASSERT_NO_FATAL_FAILURE(MoveWithin(kHeartbeatTimeout + kBeyondIt));
  cluster_.SignalNode("alpha", SIGCONT);
  ExpectAlphaCleansUpAndRejoins();
}

TEST_F(SilentNode, ThatCountsAsDownAlready) {
  cluster_.SignalNode("alpha", SIGKILL);
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("node-down"); }));
  ASSERT_NO_FATAL_FAILURE(MoveWithin(kWhenDown));
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  ExpectAlphaCleansUpAndRejoins();
}

class CutOffNode : public SilentNode {
 protected:
  CutOffNode() : SilentNode({.apart = "alpha"}) {}

  void ExpectNothingHappened() {
    const uint64_t before = writer_->acknowledged();
    EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->acknowledged() > before + 100; }));
    EXPECT_EQ(writer_->error(), 0);
    writer_->Kill();
    EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->Ended(); }));
    EXPECT_FALSE(cluster_.Happened("fenced"));
  }
};

TEST_F(CutOffNode, GoesOnWritingIntoNothing) {
  cluster_.side_network().Cut();
  ASSERT_NO_FATAL_FAILURE(MoveWithin(kHeartbeatTimeout + kBeyondIt));
  cluster_.side_network().Heal();
  ExpectAlphaCleansUpAndRejoins();
}

TEST_F(CutOffNode, ForAMomentIsNotFencedAndLosesNothing) {
  cluster_.side_network().Cut();
  ASSERT_TRUE(Eventually(kPatience, [&] { return !cluster_.Connected("alpha"); }));
  cluster_.side_network().Heal();
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Connected("alpha"); }));
  ExpectNothingHappened();
}

// It hears control and is asked to let go, but what it has yet to write cannot reach the array: after heartbeat_timeout
// without a login it is taken for what it is.
TEST_F(CutOffNode, FromTheArrayAloneIsFenced) {
  cluster_.side_network().CutStorage();
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("cut-off"); })) << cluster_.Ctl({"events"}).output;
  EXPECT_TRUE(cluster_.Connected("alpha"));
  EXPECT_FALSE(cluster_.Happened("fenced")) << "nothing moves by itself";
  EXPECT_EQ(writer_->error(), 0) << "until it is moved, it may heal";
  ASSERT_NO_FATAL_FAILURE(MoveWithin(kWhenDown + kBeyondIt));
  EXPECT_TRUE(Eventually(kPatience, [&] { return writer_->error() != 0; })) << "it was not told";
  cluster_.side_network().HealStorage();
  ExpectAlphaCleansUpAndRejoins();
}

TEST_F(CutOffNode, FromTheArrayAloneForAMomentLosesNothing) {
  cluster_.side_network().CutStorage();
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("cut-off"); }));
  cluster_.side_network().HealStorage();
  ExpectNothingHappened();
}

// Below the cluster: nobody has files open in the pool any more when it is unmounted.
struct WithFrozenPool {
  FrozenPool pool_;
};

class StuckArray : private WithFrozenPool, public SilentNode {
 protected:
  StuckArray() : SilentNode({.pool = pool_.path()}) {}
  void TearDown() override {
    pool_.Thaw();
    SilentNode::TearDown();
    if (mover_.joinable()) mover_.join();
  }

  // tgtd's write is in the kernel, and nothing takes it back.
  bool TgtdIsStuck() {
    const auto blocked = RunCommand(
        {"grep", "-l", "^State:\tD", "-r", "--include=status", absl::StrCat("/proc/", cluster_.array().pid(), "/task")},
        absl::Seconds(5));
    return blocked.ok() && blocked->exit_code == 0;
  }
  void Freeze() { pool_.Freeze(); }
  void Thaw() { pool_.Thaw(); }

  std::thread mover_;
  int moved_ = -1;
};

TEST_F(StuckArray, StallsTheFenceAndWhatWasUnderWayLandsBeforeIt) {
  const std::string record = lun_.substr(0, lun_.rfind('.')) + ".json";
  const std::string before = ReadFile(record).value_or("");
  ASSERT_NE(before, "");
  // The agent falls silent first, its LUN server in the middle of a write that the array cannot end.
  ASSERT_EQ(kill(cluster_.agent("alpha").pid(), SIGSTOP), 0);
  mover_ = std::thread([this] { moved_ = MvToBeta(); });
  ASSERT_TRUE(Eventually(kPatience, [&] { return ReadFile(record).value_or("") != before; }));
  Freeze();
  ASSERT_TRUE(Eventually(kPatience, [&] { return TgtdIsStuck(); }));
  acknowledged_ = writer_->acknowledged();
  cluster_.SignalNode("alpha", SIGSTOP);
  EXPECT_TRUE(Eventually(kPatience, [&] { return cluster_.Happened("still has a command in the backing store"); }))
      << cluster_.Ctl({"events"}).output;
  EXPECT_FALSE(cluster_.AttachedOn("beta", "db"));
  const uint64_t stalled = HighestNumber(lun_, kOld).value_or(0);
  Thaw();
  mover_.join();
  EXPECT_TRUE(moved_ == 0 || moved_ == EINPROGRESS) << moved_;
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.AttachedOn("beta", "db"); }));
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  EXPECT_GT(last_, stalled) << "no write was stuck, so nothing was tested";
  cluster_.SignalNode("alpha", SIGCONT);
  ExpectAlphaCleansUpAndRejoins();
}

}  // namespace
}  // namespace flocker::testing
