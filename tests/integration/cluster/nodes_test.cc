// Nodes that are drained and removed, on real ones.
#include <fcntl.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/match.h"
#include "engine/base/file.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class Nodes : public ClusterTest {
 protected:
  // flockerctl's answer contains the text.
  void ExpectCtl(const std::vector<std::string>& args, int exit_code, const std::string& text) {
    const CommandResult result = cluster_.Ctl(args);
    EXPECT_EQ(result.exit_code, exit_code) << result.output;
    EXPECT_TRUE(absl::StrContains(result.output, text)) << result.output;
  }
};

TEST_F(Nodes, ADrainedNodeTakesNothingByAnyDoorAlsoAfterARestart) {
  MakeOnAlpha("db", "kept");
  ExpectCtl({"nodes", "drain", "beta"}, 0, "beta is drained: it takes no more datasets, and has none.");
  ExpectCtl({"nodes"}, 0, "beta    connected, drained\n");
  ExpectCtl({"create", "-n", "beta", "-m", "name=web"}, 10, "nodes undrain beta");
  ExpectCtl({"move", "-d", "db", "-t", "beta"}, 10, "beta is drained");
  EXPECT_EQ(MakeDir(cluster_.Path("beta", "web")), EPERM);
  EXPECT_EQ(Mv("db", "alpha", "beta"), EPERM);

  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(15), [&] {
    return absl::StrContains(cluster_.Ctl({"nodes"}).output, "beta    connected, drained");
  })) << cluster_.Ctl({"nodes"}).output;
  ExpectCtl({"move", "-d", "db", "-t", "beta"}, 10, "beta is drained");
  ExpectCtl({"nodes", "undrain", "beta"}, 0, "beta takes datasets again.");
  ExpectCtl({"move", "-d", "db", "-t", "beta", "--wait"}, 0, "moved db to beta in ");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "kept");
}

TEST_F(Nodes, DrainingMovesWhatNobodyUsesAndNamesTheRest) {
  MakeOnAlpha("db");
  MakeOnAlpha("web");
  ExpectCtl({"nodes", "drain", "alpha"}, 0, "It still has ");
  {
    const unique_fd held(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
    ExpectCtl({"nodes", "drain", "alpha", "--to", "beta"}, 5, "\n  db: ");
    EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("beta", "web"); }));
    EXPECT_TRUE(cluster_.AttachedOn("alpha", "db"));
    ExpectCtl({"nodes", "remove", "alpha"}, 5, "node alpha has 1 dataset (db)");
  }
  ExpectCtl({"nodes", "drain", "alpha", "--to", "beta"}, 0, "what it had is on beta.");
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("beta", "db"); }));
  ExpectCtl({"nodes", "drain", "alpha", "--to", "alpha"}, 2, "cannot be drained to itself");
}

TEST_F(Nodes, ANodeIsRemovedOnceItIsStoppedAndMayJoinAnew) {
  MakeOnAlpha("db");
  ExpectCtl({"nodes", "remove", "beta"}, 5, "stop its flocker-agent first");
  ASSERT_TRUE(cluster_.agent("beta").Stop().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(15), [&] {
    return cluster_.Ctl({"nodes", "remove", "beta"}).exit_code == 0;
  })) << cluster_.Ctl({"nodes", "remove", "beta"}).output;
  ExpectCtl({"nodes", "remove", "beta"}, 3, "no node has the name");
  EXPECT_FALSE(absl::StrContains(cluster_.Ctl({"nodes"}).output, "beta"));
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return !std::filesystem::exists(cluster_.tree("alpha") + "/beta"); }));
  EXPECT_TRUE(std::filesystem::exists(cluster_.Path("alpha", "db")));
  ASSERT_TRUE(cluster_.StartAgent("beta").ok());
  ExpectCtl({"move", "-d", "db", "-t", "beta", "--wait"}, 0, "moved db to beta");
}

}  // namespace
}  // namespace flocker::testing
