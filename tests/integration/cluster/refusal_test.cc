// What cannot be done is refused at once, with the errno of DESIGN §2's table, and changes nothing.
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using Refusal = ClusterTest;

TEST_F(Refusal, NamesOfEveryBadKind) {
  const std::vector<std::string> bad = {"-dash",
                                        ".dot",
                                        "_underscore",
                                        "with space",
                                        "with:colon",
                                        "new\nline",
                                        "gr\xc3\xbc\xc3\x9f",
                                        "\xff",
                                        "self",
                                        "8af507ae-5c24-4d55-9d39-c16ff7fce7b9",
                                        "8AF507AE-5C24-4D55-9D39-C16FF7FCE7B9",
                                        std::string(129, 'a'),
                                        std::string(1000, 'a')};
  for (const std::string& name : bad) {
    EXPECT_EQ(MakeDir(cluster_.Path("alpha", name)), EINVAL) << name;
  }
  EXPECT_TRUE(cluster_.List().empty());
  EXPECT_TRUE(absl::StrContains(cluster_.Why("with space"), "invalid")) << cluster_.Why("with space");

  MakeOnAlpha(std::string(128, 'a'));
  for (const std::string& name : bad) {
    EXPECT_EQ(Rename(cluster_.Path("alpha", std::string(128, 'a')), cluster_.Path("alpha", name)), EINVAL) << name;
  }
  EXPECT_TRUE(cluster_.Find(std::string(128, 'a')));
}

TEST_F(Refusal, ANameThatIsTakenOnAnyNode) {
  MakeOnAlpha("db");
  EXPECT_EQ(MakeDir(cluster_.Path("alpha", "db")), EEXIST);
  EXPECT_EQ(MakeDir(cluster_.tree("alpha") + "/beta/db"), EEXIST);
  MakeOnAlpha("db2");
  EXPECT_EQ(Rename(cluster_.Path("alpha", "db2"), cluster_.tree("alpha") + "/beta/db"), EEXIST);
  EXPECT_TRUE(cluster_.AttachedOn("alpha", "db2"));
}

TEST_F(Refusal, PlacesThatAreNoNode) {
  EXPECT_EQ(MakeDir(cluster_.tree("alpha") + "/gamma/db"), ENOENT);
  EXPECT_EQ(MakeDir(cluster_.tree("alpha") + "/gamma"), EPERM);
  EXPECT_EQ(WriteFile(cluster_.tree("alpha") + "/file", "x"), EPERM);
  EXPECT_EQ(WriteFile(cluster_.tree("alpha") + "/alpha/file", "x"), EPERM);
  MakeOnAlpha("db");
  EXPECT_EQ(Rename(cluster_.Path("alpha", "db"), cluster_.tree("alpha") + "/gamma/db"), ENOENT);
  EXPECT_EQ(RemoveDir(cluster_.tree("alpha") + "/alpha"), EPERM);
}

TEST_F(Refusal, FilesBetweenDatasetsAndOutsideAreAnotherDevice) {
  MakeOnAlpha("a");
  MakeOnAlpha("b");
  EXPECT_EQ(Rename(cluster_.Path("alpha", "a") + "/file", cluster_.Path("alpha", "b") + "/file2"), EXDEV);
  EXPECT_EQ(Rename(cluster_.Path("alpha", "a") + "/file", cluster_.dir() + "/file"), EXDEV);
  ASSERT_EQ(MakeDir(cluster_.Path("alpha", "a") + "/directory"), 0);
  EXPECT_EQ(Rename(cluster_.Path("alpha", "a") + "/directory", cluster_.Path("alpha", "directory")), EXDEV);
  // mv(1) copies then: a natural export.
  EXPECT_TRUE(
      RunChecked({"mv", cluster_.Path("alpha", "a") + "/file", cluster_.dir() + "/file"}, absl::Seconds(10)).ok());
  EXPECT_EQ(ReadFile(cluster_.dir() + "/file").value_or("unread"), "content\n");
}

TEST_F(Refusal, EveryChangeWhileControlIsAwayAtOnceWhileFilesGoOn) {
  MakeOnAlpha("db");
  ASSERT_TRUE(cluster_.control().Stop().ok());
  // From the moment that the agent knows, every answer is immediate. (What was on its way then waits for control.)
  ASSERT_TRUE(
      Eventually(absl::Seconds(10), [&] { return absl::StrContains(cluster_.agent("alpha").log(), "is away: "); }));
  const absl::Time begin = absl::Now();
  EXPECT_EQ(MakeDir(cluster_.Path("alpha", "new")), EROFS);
  EXPECT_EQ(Mv("db", "alpha", "beta"), EROFS);
  EXPECT_EQ(RemoveDir(cluster_.Path("alpha", "db")), EROFS);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(1));
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "without control"), 0);
  EXPECT_EQ(cluster_.Ctl({"ls"}).exit_code, 9);  // no-control

  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return Mv("db", "alpha", "beta") == 0; })) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "without control");
}

TEST_F(Refusal, ANodeThatIsNotConnected) {
  MakeOnAlpha("db");
  ASSERT_TRUE(cluster_.agent("beta").Stop().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return !cluster_.Connected("beta"); }));
  EXPECT_EQ(Mv("db", "alpha", "beta"), EHOSTDOWN);
  EXPECT_EQ(MakeDir(cluster_.tree("alpha") + "/beta/new"), EHOSTDOWN);
  EXPECT_TRUE(absl::StrContains(cluster_.Why("db"), "node-down")) << cluster_.Why("db");
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "still writable"), 0);
  ASSERT_TRUE(cluster_.StartAgent("beta").ok());
}

class PoolFull : public ClusterTest {
 protected:
  // 1 GiB that may be promised once.
  PoolFull() : ClusterTest({.pool_bytes = uint64_t{1} << 30, .control_flags = {"--overcommit", "1"}}) {}
};

TEST_F(PoolFull, ADatasetThatDoesNotFitIsNotHalfMade) {
  const CommandResult first = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=first", "-s", "512M"});
  ASSERT_EQ(first.exit_code, 0) << first.output;
  const CommandResult second = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=second", "-s", "768M"});
  EXPECT_EQ(second.exit_code, 6) << second.output;              // no-space
  EXPECT_EQ(MakeDir(cluster_.Path("alpha", "third")), ENOSPC);  // of the default size, 75G
  EXPECT_TRUE(absl::StrContains(cluster_.Why("third"), "no-space")) << cluster_.Why("third");

  EXPECT_EQ(cluster_.List().size(), 1U);
  const auto targets = cluster_.array().Admin({"--lld", "iscsi", "--op", "show", "--mode", "target"});
  ASSERT_TRUE(targets.ok()) << targets.status();
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(*targets, "Target ")).size(), 2U) << *targets;  // one
  struct stat status {};
  EXPECT_NE(stat(cluster_.Path("alpha", "third").c_str(), &status), 0);
  // What fits is still welcome.
  const CommandResult third = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=third", "-s", "256M"});
  EXPECT_EQ(third.exit_code, 0) << third.output;
}

TEST(AgentStart, InAMountNamespaceOfItsOwnIsRefused) {
  const ScratchDir scratch;
  const std::string agent = absl::StrCat(FLOCKER_BIN_DIR, "/flocker-agent --name x --control unix:/nowhere --root ",
                                         scratch / "root", " --tree ", scratch / "tree");
  // The shell is process 1, in a namespace that the agent is not in.
  const auto tried = RunCommand(
      {"unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", absl::StrCat("unshare --mount ", agent, " || exit 1")},
      absl::Seconds(20));
  ASSERT_TRUE(tried.ok()) << tried.status();
  EXPECT_EQ(tried->exit_code, 1);
  EXPECT_TRUE(absl::StrContains(tried->output, "not the mount namespace of process 1")) << tried->output;
}

}  // namespace
}  // namespace flocker::testing
