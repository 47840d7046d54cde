// The bash script, in a real bash.
#include "engine/ctl/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/ctl/command_line.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class BashCompletionTest : public ::testing::Test {
 protected:
  BashCompletionTest() {
    const CommandLine command_line(arguments_);
    script_ = dir_ / "completion";
    EXPECT_TRUE(ReplaceFile(script_, BashCompletion(command_line.app())).ok());
  }

  // What bash offers for the last of the words. The names in the cluster are "<kind>-1" and "<kind>-2".
  std::vector<std::string> Offered(const std::vector<std::string>& words) {
    std::string line =
        absl::StrCat("flockerctl() { [[ $1 == names ]] && printf '%s-1\\n%s-2\\n' \"$2\" \"$2\"; }; source ", script_,
                     "; COMP_WORDS=(flockerctl");
    for (const std::string& word : words) absl::StrAppend(&line, " '", word, "'");
    absl::StrAppend(&line, "); COMP_CWORD=", words.size(), "; _flockerctl; printf '%s\\n' \"${COMPREPLY[@]}\"");
    const auto output = RunChecked({"bash", "-c", line}, absl::Seconds(10));
    EXPECT_TRUE(output.ok()) << output.status();
    return absl::StrSplit(output.value_or(""), '\n', absl::SkipEmpty());
  }

  Arguments arguments_;
  testing::ScratchDir dir_;
  std::string script_;
};

TEST_F(BashCompletionTest, OffersTheCommands) {
  EXPECT_THAT(Offered({""}), IsSupersetOf({"create", "ls", "list", "nodes", "watch", "--json"}));
  EXPECT_THAT(Offered({""}), Not(Contains("names")));
  EXPECT_THAT(Offered({"cre"}), ElementsAre("create"));
  EXPECT_THAT(Offered({"--control", "x:1", "cre"}), ElementsAre("create"));
  EXPECT_THAT(Offered({"--json", "nodes", "dr"}), ElementsAre("drain"));
}

TEST_F(BashCompletionTest, OffersTheOptionsOfACommand) {
  EXPECT_THAT(Offered({"create", "--"}), IsSupersetOf({"--node", "--metadata", "--size", "--wait", "--json"}));
  EXPECT_THAT(Offered({"status", "--l"}), ElementsAre("--long"));
}

TEST_F(BashCompletionTest, OffersTheNamesInTheCluster) {
  EXPECT_THAT(Offered({"move", "-d", ""}), UnorderedElementsAre("DATASET-1", "DATASET-2"));
  EXPECT_THAT(Offered({"move", "-d", "x", "--destination", "NODE-2"}), ElementsAre("NODE-2"));
  EXPECT_THAT(Offered({"restore", "TRASHED-"}), UnorderedElementsAre("TRASHED-1", "TRASHED-2"));
  EXPECT_THAT(Offered({"nodes", "drain", "NODE-1"}), ElementsAre("NODE-1"));
  EXPECT_THAT(Offered({"nodes", "drain", "x", "--t"}), Contains("--to"));
  EXPECT_THAT(Offered({"create", "-s", ""}), IsEmpty());
}

TEST_F(BashCompletionTest, OffersWhatAnOptionAllows) {
  EXPECT_THAT(Offered({"doctor", "--for", ""}), UnorderedElementsAre("client", "node", "control"));
  EXPECT_THAT(Offered({"completion", "z"}), ElementsAre("zsh"));
  EXPECT_THAT(Offered({"ls", "--timeout", ""}), IsEmpty());
}

TEST_F(BashCompletionTest, IsTheSameForZsh) {
  const CommandLine command_line(arguments_);
  const std::string zsh = ZshCompletion(command_line.app());
  EXPECT_EQ(zsh.find("#compdef flockerctl\n"), 0U);
  EXPECT_NE(zsh.find(BashCompletion(command_line.app())), std::string::npos);
  EXPECT_TRUE(zsh.ends_with("then _bash_complete -F _flockerctl; fi\n")) << "the first completion answers nothing";
}

}  // namespace
}  // namespace flocker
