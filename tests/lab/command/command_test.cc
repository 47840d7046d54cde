// flocker-lab as a person uses it: every verb once, on one cluster of two nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/subprocess.h"
#include "tests/harness/scratch.h"
#include "tests/harness/wait.h"

namespace flocker::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CommandTest : public ::testing::Test {
 protected:
  void TearDown() override { RunCommand(Words({"down"}), absl::Minutes(2)).IgnoreError(); }

  std::vector<std::string> Words(const std::vector<std::string>& words) const {
    std::vector<std::string> argv = {FLOCKER_BIN_DIR "/flocker-lab", "--dir", scratch_ / "lab"};
    argv.insert(argv.end(), words.begin(), words.end());
    return argv;
  }

  // `flocker-lab <words>`, which must succeed; its output.
  std::string Lab(const std::vector<std::string>& words) {
    const auto result = RunCommand(Words(words), absl::Minutes(6));
    EXPECT_TRUE(result.ok() && result->exit_code == 0)
        << absl::StrJoin(words, " ") << ": " << (result.ok() ? result->output : result.status().ToString());
    return result.ok() ? result->output : "";
  }
  std::string Shell(const std::string& machine, const std::string& command) { return Lab({"shell", machine, command}); }
  bool Succeeds(const std::vector<std::string>& words) {
    const auto result = RunCommand(Words(words), absl::Minutes(6));
    return result.ok() && result->exit_code == 0;
  }

  flocker::testing::ScratchDir scratch_;
};

TEST_F(CommandTest, EachVerbDoesWhatItSays) {
  EXPECT_FALSE(Succeeds({"status"})) << "there is no lab yet";
  const std::string up = Lab({"up"});
  ASSERT_THAT(up, HasSubstr("up after "));
  std::cout << up;
  EXPECT_FALSE(Succeeds({"up"})) << "one lab a directory";

  Shell("node1", "mkdir /flocker/node1/x && echo 1 >/flocker/node1/x/file && sync /flocker/node1/x/file");
  EXPECT_FALSE(Succeeds({"shell", "node1", "exit 3"}));
  const std::string status = Lab({"status"});
  for (const char* word : {"array    on", "node1    on", "node2    on", " connected", "attached"}) {
    EXPECT_THAT(status, HasSubstr(word));
  }
  EXPECT_THAT(status, Not(HasSubstr(" -> ")));

  const std::string reach = "ping -c 1 -W 2 10.77.1.1 >/dev/null && echo reached; true";
  EXPECT_EQ(Shell("node1", reach), "reached\n");
  Lab({"cut", "node1", "array.storage"});
  EXPECT_EQ(Shell("node1", reach), "");
  EXPECT_EQ(Shell("node2", reach), "reached\n");
  EXPECT_THAT(Lab({"status"}), HasSubstr("node1 -> array.storage: cut"));
  Lab({"heal", "node1", "array.storage"});
  EXPECT_EQ(Shell("node1", reach), "reached\n");
  Lab({"slow", "node1", "array", "--loss", "0.01", "--delay-ms", "5"});
  EXPECT_THAT(Lab({"status"}), HasSubstr("node1 -> array.control: whole, loss 0.01, delay 5ms"));
  Lab({"heal"});
  EXPECT_THAT(Lab({"status"}), Not(HasSubstr(" -> ")));

  Lab({"pause", "node2"});
  EXPECT_FALSE(Succeeds({"shell", "node2", "--seconds", "1", "true"}));
  Lab({"resume", "node2"});
  EXPECT_EQ(Shell("node2", "echo on"), "on\n");

  Lab({"power-cut", "node1"});
  EXPECT_THAT(Lab({"status"}), HasSubstr("node1    off"));
  Lab({"boot", "node1"});
  EXPECT_TRUE(flocker::testing::Eventually(absl::Minutes(2), [&] {
    return Succeeds({"shell", "node1", "[[ $(cat /flocker/node1/x/file) == 1 ]]"});
  }));
  Shell("node1", "touch /run/memory");
  Lab({"reset", "node1"});
  EXPECT_TRUE(flocker::testing::Eventually(absl::Minutes(2), [&] {
    return Succeeds({"shell", "node1", "[[ ! -e /run/memory && $(cat /flocker/node1/x/file) == 1 ]]"});
  }));
  Lab({"shutdown", "node1"});
  EXPECT_THAT(Lab({"status"}), HasSubstr("node1    off"));

  Lab({"down"});
  EXPECT_FALSE(Succeeds({"status"}));
  EXPECT_NE(access((scratch_ / "lab").c_str(), F_OK), 0) << "its data is removed";
}

}  // namespace
}  // namespace flocker::lab
