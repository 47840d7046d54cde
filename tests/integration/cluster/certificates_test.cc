// The system as a whole over mutual TLS, with certificates as `flockerctl ca` makes them.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/rpc/certificates.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using ::testing::HasSubstr;

class CertifiedCluster : public ClusterTest {
 protected:
  CertifiedCluster() : ClusterTest({.certificates = true}) {}

  std::string IdIn(const std::string& directory) const {
    const auto identity = LoadIdentity(FilesIn(directory, Role::kNode), absl::Now());
    EXPECT_TRUE(identity.ok()) << identity.status();
    return identity.ok() ? identity->peer.name : "";
  }
  std::string IdAtRoot(const std::string& node) const {
    return std::string(
        absl::StripSuffix(ReadFile(absl::StrCat(cluster_.dir(), "/", node, "/node")).value_or(""), "\n"));
  }
  CommandResult AsAda(const std::vector<std::string>& command) const {
    std::vector<std::string> argv = {FLOCKER_BIN_DIR "/flockerctl",
                                     "--control",
                                     cluster_.certified_address(),
                                     "--certificates",
                                     cluster_.Certificates("ada"),
                                     "--user",
                                     "ada"};
    argv.insert(argv.end(), command.begin(), command.end());
    auto result = RunCommand(argv, absl::Seconds(30));
    return result.ok() ? *std::move(result) : CommandResult{-1, std::string(result.status().message())};
  }
};

TEST_F(CertifiedCluster, WorksAsWithoutAndNodesAreWhoTheirCertificatesSay) {
  for (const char* node : {"alpha", "beta"}) {
    EXPECT_EQ(IdAtRoot(node), IdIn(cluster_.Certificates(node)));
  }
  MakeOnAlpha("db");
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "content\n");
  const auto listed = AsAda({"ls"});
  EXPECT_EQ(listed.exit_code, 0) << listed.output;
  EXPECT_THAT(listed.output, HasSubstr("name=db"));
}

TEST_F(CertifiedCluster, ARenewedCertificateIsTakenUpAtTheNextConnection) {
  for (const auto& [what, whose] : {std::pair("node", "alpha"), std::pair("control", "control")}) {
    std::vector<std::string> argv = {FLOCKER_BIN_DIR "/flockerctl",
                                     "ca",
                                     what,
                                     "--replace",
                                     "--inputpath",
                                     cluster_.Certificates("authority"),
                                     "--outputpath",
                                     cluster_.Certificates(whose)};
    if (std::string(what) == "node") {
      argv.insert(argv.end(), {"--id", IdAtRoot("alpha")});
    } else {
      argv.emplace_back("127.0.0.1");
    }
    const auto made = RunChecked(argv, absl::Seconds(30));
    ASSERT_TRUE(made.ok()) << made.status();
  }
  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return cluster_.Connected("alpha") && cluster_.Connected("beta"); }));
}

TEST_F(CertifiedCluster, AnAgentDoesNotStartOnAnotherNodesRoot) {
  ASSERT_TRUE(cluster_.agent("beta").Stop().ok());
  const auto run = RunCommand(
      {FLOCKER_BIN_DIR "/flocker-agent", "--name", "beta", "--root", cluster_.dir() + "/beta", "--control",
       cluster_.certified_address(), "--certificates", cluster_.Certificates("alpha"), "--tree", cluster_.tree("beta")},
      absl::Seconds(30));
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->exit_code, 78) << "flocker-agent.service's RestartPreventExitStatus";
  EXPECT_THAT(run->output, HasSubstr("flockerctl ca node --id " + IdAtRoot("beta")));
  ASSERT_TRUE(cluster_.StartAgent("beta").ok());
}

// The commands themselves, of which the cluster above has made its files.
TEST(CertificateAuthority, MakesFlockersFilesAndOverwritesNone) {
  const ScratchDir dir;
  const auto ca = [&](std::vector<std::string> command) {
    command.insert(command.begin(), {FLOCKER_BIN_DIR "/flockerctl", "ca"});
    const auto run = RunCommand(command, absl::Seconds(30));
    return run.ok() ? *run : CommandResult{-1, std::string(run.status().message())};
  };
  const std::string etc = dir / "etc";
  ASSERT_EQ(ca({"init", "mycluster", "-i", etc}).exit_code, 0);
  ASSERT_EQ(ca({"control", "array.example", "10.0.0.1", "-i", etc}).exit_code, 0);
  ASSERT_EQ(ca({"node", "-i", etc}).exit_code, 0);
  ASSERT_EQ(ca({"user", "-i", etc}).exit_code, 0);
  for (const char* name : {"cluster", "control-service", "node", "user"}) {
    for (const char* suffix : {".crt", ".key"}) {
      struct stat status {};
      ASSERT_EQ(stat(absl::StrCat(etc, "/", name, suffix).c_str(), &status), 0) << name << suffix;
      EXPECT_EQ(status.st_mode & 07777, 0600U) << name << suffix;
    }
  }
  struct stat directory {};
  ASSERT_EQ(stat(etc.c_str(), &directory), 0);
  EXPECT_EQ(directory.st_mode & 07777, 0700U);

  const std::string key = *ReadFile(etc + "/node.key");
  EXPECT_THAT(ca({"node", "-i", etc}).output, HasSubstr("exists"));
  EXPECT_THAT(ca({"init", "other", "-i", etc}).output, HasSubstr("exists"));
  EXPECT_EQ(*ReadFile(etc + "/node.key"), key);
  EXPECT_EQ(ca({"node", "-i", etc, "--replace"}).exit_code, 0);
  EXPECT_NE(*ReadFile(etc + "/node.key"), key);
  for (const char* name : {"node", "cluster", "control-service", "../x", ""}) {
    EXPECT_NE(ca({"user", name, "-i", etc}).exit_code, 0) << name;
  }
  EXPECT_NE(ca({"node", "--id", "7", "-i", etc, "-o", dir / "new"}).exit_code, 0);
  // A directory for another machine is complete, and not mixed with another cluster's.
  ASSERT_EQ(ca({"node", "-i", etc, "-o", dir / "beta"}).exit_code, 0);
  EXPECT_EQ(*ReadFile(dir / "beta/cluster.crt"), *ReadFile(etc + "/cluster.crt"));
  ASSERT_EQ(ca({"init", "other", "-i", dir / "other"}).exit_code, 0);
  EXPECT_THAT(ca({"user", "-i", dir / "other", "-o", dir / "beta"}).output, HasSubstr("another cluster's"));
}

}  // namespace
}  // namespace flocker::testing
