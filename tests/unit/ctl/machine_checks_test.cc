#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/ctl/machine.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MachineFacts GoodMachine() {
  return {.kernel = "6.1.0-28-cloud-amd64",
          .root = true,
          .fuse_control = true,
          .may_grow = true,
          .daemons = {{.name = "flocker-agent", .pid = 12},
                      {.name = "flocker-control", .pid = 13},
                      {.name = "tgtd", .pid = 14}},
          .ports = {{.port = 4523, .owner = ""}, {.port = 4524, .owner = "flocker-control (pid 13)"}}};
}

std::vector<Check> Wrong(const MachineFacts& facts,
                         const std::set<MachineRole>& roles = {MachineRole::kNode, MachineRole::kControl}) {
  std::vector<Check> wrong = CheckMachine(facts, roles);
  std::erase_if(wrong, [](const Check& check) { return check.verdict == Verdict::kGood; });
  return wrong;
}

// The one check that is not good, with its remedy.
Check OnlyWrong(const MachineFacts& facts) {
  const std::vector<Check> wrong = Wrong(facts);
  EXPECT_EQ(wrong.size(), 1U);
  if (wrong.size() != 1) return {};
  EXPECT_NE(wrong[0].remedy, "") << wrong[0].subject;
  return wrong[0];
}

TEST(CheckMachine, FindsNothingWrongWithAGoodOne) { EXPECT_THAT(Wrong(GoodMachine()), IsEmpty()); }

TEST(CheckMachine, JudgesTheKernel) {
  MachineFacts facts = GoodMachine();
  facts.kernel = "5.10.0-30";
  EXPECT_EQ(OnlyWrong(facts).verdict, Verdict::kWarning);
  facts.kernel = "4.19.0";
  EXPECT_EQ(OnlyWrong(facts).verdict, Verdict::kBad);
  facts.kernel = "mine";
  EXPECT_EQ(OnlyWrong(facts).subject, "kernel");
}

TEST(CheckMachine, NamesDevicesThatDoNotOpen) {
  MachineFacts facts = GoodMachine();
  facts.fuse_error = "/dev/fuse does not open: No such file or directory";
  EXPECT_THAT(OnlyWrong(facts).found, HasSubstr("No such file"));
  facts = GoodMachine();
  facts.loop_error = "/dev/loop-control does not open: Permission denied";
  facts.root = false;
  EXPECT_THAT(OnlyWrong(facts).found, HasSubstr("as root"));
  facts = GoodMachine();
  facts.fuse_control = false;
  EXPECT_THAT(OnlyWrong(facts).remedy, HasSubstr("mount -t fusectl"));
}

TEST(CheckMachine, NamesADaemonWhoseMountsTheHostDoesNotSee) {
  MachineFacts facts = GoodMachine();
  facts.daemons[0].host_mounts = false;
  EXPECT_EQ(OnlyWrong(facts).subject, "mount namespace");
  EXPECT_THAT(OnlyWrong(facts).found, HasSubstr("flocker-agent (pid 12)"));
  facts = GoodMachine();
  facts.daemons[1].host_mounts = false;  // control mounts nothing
  EXPECT_THAT(Wrong(facts), IsEmpty());
}

TEST(CheckMachine, NamesWhoHasThePortAndThatTgtdIsMissing) {
  MachineFacts facts = GoodMachine();
  facts.ports[1].owner = "nginx (pid 80)";
  EXPECT_THAT(OnlyWrong(facts).found, HasSubstr("nginx (pid 80)"));
  facts = GoodMachine();
  facts.daemons.pop_back();
  EXPECT_EQ(OnlyWrong(facts).subject, "tgtd");
  facts.local_array = true;
  EXPECT_THAT(Wrong(facts), IsEmpty()) << "it has no use for one";
  facts = GoodMachine();
  facts.missing_programs = {"mkfs.ext4"};
  EXPECT_THAT(OnlyWrong(facts).found, HasSubstr("mkfs.ext4"));
}

TEST(CheckMachine, AsksOfAClientNothing) {
  EXPECT_THAT(CheckMachine(MachineFacts{.kernel = "2.6"}, {MachineRole::kClient}), IsEmpty());
}

TEST(RolesOf, AreToldByWhatRuns) {
  EXPECT_EQ(RolesOf(GoodMachine()), (std::set{MachineRole::kNode, MachineRole::kControl}));
  EXPECT_EQ(RolesOf({.root = true}), std::set{MachineRole::kNode});
  EXPECT_EQ(RolesOf({.root = false}), std::set{MachineRole::kClient});
}

TEST(ProgramsOf, AreThoseOfTheArray) {
  EXPECT_THAT(ProgramsOf(MachineRole::kControl, false), ElementsAre("tgtadm"));
  EXPECT_THAT(ProgramsOf(MachineRole::kControl, true), IsEmpty());
}

TEST(HasLocalArray, IsToldByTheCommandLineAndThenByTheFile) {
  const testing::ScratchDir scratch;
  const auto file = [&](const std::string& name, const std::string& text) {
    EXPECT_TRUE(ReplaceFile(scratch / name, "version: 1\n" + text).ok());
    return scratch / name;
  };
  const std::string local = file("local.yml", "listen: [a, b]\narray: local # no tgt\n");
  const std::string tgt = file("tgt.yml", "array: tgt\n");
  const std::string silent = file("silent.yml", "pool: /srv\n");
  const auto has = [&](const std::vector<std::string>& arguments, const std::string& default_file) {
    return HasLocalArray(arguments, scratch.path(), default_file);
  };
  EXPECT_TRUE(has({}, local));
  EXPECT_FALSE(has({}, tgt));
  EXPECT_FALSE(has({}, silent));
  EXPECT_TRUE(has({"-c", local}, tgt));
  EXPECT_TRUE(has({"--listen", "a:1", "--config=local.yml", "--adopt"}, tgt)) << "from where it was started";
  EXPECT_FALSE(has({"--pool", "/srv"}, local)) << "with arguments, control reads no file that they do not name";
  EXPECT_TRUE(has({"--pool", "/srv", "--array", "local", "--group-listen", "unix:/a"}, tgt));
  EXPECT_FALSE(has({"-c", local, "--array=tgt"}, local));
  EXPECT_FALSE(has({"-c", file("broken.yml", "array: [local\n")}, local));
  EXPECT_FALSE(has({"-c", scratch / "nothing.yml"}, local));
}

TEST(ReadMachine, ReadsThisOne) {
  const MachineFacts facts = ReadMachine({MachineRole::kNode});
  EXPECT_FALSE(facts.kernel.empty());
  EXPECT_EQ(facts.root, geteuid() == 0);
  EXPECT_EQ(facts.ports.size(), 2U);
}

}  // namespace
}  // namespace flocker
