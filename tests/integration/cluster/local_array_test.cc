// A single host without an array: datasets are files of this machine (`--array local`), and no tgtd runs.
#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/numbered_writer.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class LocalArrayCluster : public ClusterTest {
 protected:
  explicit LocalArrayCluster(ClusterOptions options = {}) : ClusterTest(Local(std::move(options))) {}
  static ClusterOptions Local(ClusterOptions options) {
    options.local_array = true;
    return options;
  }
  bool Attached(const std::string& node, const std::string& name) {
    return Eventually(kPatience, [&] { return cluster_.AttachedOn(node, name); });
  }
};

TEST_F(LocalArrayCluster, DatasetsAreMadeMovedGrownAndDestroyed) {
  MakeOnAlpha("db");
  const std::string file = cluster_.BackingFile("db");
  EXPECT_TRUE(std::filesystem::exists(file));
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or(""), "content\n");
  EXPECT_EQ(Open(cluster_.Path("alpha", "db") + "/file"), ENOENT);
  const CommandResult grown = cluster_.Ctl({"grow", "db", "80G", "--wait"});
  EXPECT_EQ(grown.exit_code, 0) << grown.output;
  EXPECT_TRUE(Eventually(kPatience, [&] { return std::filesystem::file_size(file) == uint64_t{80} << 30; }));
  EXPECT_TRUE(Attached("beta", "db"));
  EXPECT_EQ(WriteFile(cluster_.Path("beta", "db") + "/more", "content"), 0);
  ASSERT_EQ(RemoveDir(cluster_.Path("beta", "db")), 0) << cluster_.Why("db");
  EXPECT_TRUE(Eventually(kPatience, [&] { return !std::filesystem::exists(file + ".grant"); }));
}

TEST_F(LocalArrayCluster, ADatasetInUseStays) {
  MakeOnAlpha("db");
  const unique_fd held(open((cluster_.Path("alpha", "db") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held);
  EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
  EXPECT_TRUE(Attached("alpha", "db"));
}

TEST_F(LocalArrayCluster, AKilledLunServerIsAPauseForWhoWrites) {
  MakeOnAlpha("db");
  const std::string numbers = cluster_.NativePath("alpha", "db") + "/numbers";
  NumberedWriter writer(numbers, "alpha's");
  for (int killed = 0; killed < 3; ++killed) {
    const uint64_t before = writer.acknowledged();
    ASSERT_TRUE(Eventually(kPatience, [&] { return writer.acknowledged() > before + 100; })) << writer.error();
    const pid_t server = cluster_.LunServer("db");
    ASSERT_GT(server, 0);
    ASSERT_EQ(kill(server, SIGKILL), 0);
  }
  const uint64_t before = writer.acknowledged();
  EXPECT_TRUE(Eventually(kPatience, [&] { return writer.acknowledged() > before + 100; }));
  EXPECT_EQ(writer.error(), 0);
  writer.Kill();
  EXPECT_TRUE(Eventually(kPatience, [&] { return writer.Ended(); }));
}

TEST_F(LocalArrayCluster, RestartsOfControlAndAgentChangeNothing) {
  MakeOnAlpha("db");
  const pid_t server = cluster_.LunServer("db");
  cluster_.control().Kill();
  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_TRUE(Attached("alpha", "db"));
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "more"), 0);
  EXPECT_EQ(cluster_.LunServer("db"), server);
}

TEST_F(LocalArrayCluster, DoctorAsksForNoTgtd) {
  const CommandResult checked = cluster_.Ctl({"doctor", "--for", "control"});
  EXPECT_TRUE(absl::StrContains(checked.output, "ok       tgtd: not needed")) << checked.output;
}

class IscsiAgents : public LocalArrayCluster {
 protected:
  IscsiAgents() : LocalArrayCluster({.agent_flags = {"--backend", "iscsi"}}) {}
};

TEST_F(IscsiAgents, RefuseAFileAndSayWhichSettingIsWrong) {
  const CommandResult made = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "128M", "--no-wait"});
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_TRUE(Eventually(kPatience, [&] {
    return absl::StrContains(cluster_.Why("db"), "this node's backend is iscsi, and what control grants is loopback");
  })) << cluster_.Why("db");
  EXPECT_FALSE(cluster_.AttachedOn("alpha", "db"));
}

}  // namespace
}  // namespace flocker::testing
