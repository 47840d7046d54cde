#include "engine/ctl/command_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/ctl/dataset_commands.h"
#include "engine/ctl/node_commands.h"

namespace flocker {
namespace {

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() { unsetenv("FLOCKER_CONTROL"); }

  // False when it is refused.
  bool Parse(std::vector<std::string> words) {
    arguments_ = {};
    CommandLine command_line(arguments_);
    std::reverse(words.begin(), words.end());  // as CLI::App::parse takes them
    try {
      command_line.app().parse(words);
    } catch (const CLI::ParseError&) {
      return false;
    }
    chosen_ = command_line.chosen();
    return true;
  }

  Arguments arguments_;
  Command chosen_ = nullptr;
};

TEST_F(CommandLineTest, TakesFlockersCommands) {
  ASSERT_TRUE(Parse({"create", "-n", "bf5d33ee", "-m", "name=Test", "-s", "15G"}));
  EXPECT_EQ(chosen_, &CreateDataset);
  EXPECT_EQ(arguments_.node, "bf5d33ee");
  EXPECT_EQ(arguments_.metadata, "name=Test");
  EXPECT_EQ(arguments_.size, "15G");
  ASSERT_TRUE(Parse({"move", "--dataset=8af507ae", "--destination=08ad1785"}));
  EXPECT_EQ(chosen_, &MoveDataset);
  ASSERT_TRUE(Parse({"destroy", "-d", "8af507ae"}));
  EXPECT_EQ(chosen_, &DestroyDataset);
  for (const char* list : {"ls", "list"}) {
    ASSERT_TRUE(Parse({list, "-d", "-l", "-h"}));
    EXPECT_EQ(chosen_, &ListDatasets);
  }
  for (const char* list : {"list-nodes", "status", "nodes"}) {
    ASSERT_TRUE(Parse({list, "--long"}));
    EXPECT_EQ(chosen_, &ListNodes);
  }
}

TEST_F(CommandLineTest, TakesACommandOfACommand) {
  ASSERT_TRUE(Parse({"nodes", "drain", "alpha", "--to", "beta"}));
  EXPECT_EQ(chosen_, &DrainNode);
  EXPECT_EQ(arguments_.node, "alpha");
  EXPECT_EQ(arguments_.name, "beta");
}

TEST_F(CommandLineTest, TakesGlobalOptionsOnBothSides) {
  ASSERT_TRUE(Parse({"--json", "ls"}));
  EXPECT_TRUE(arguments_.json);
  ASSERT_TRUE(Parse({"nodes", "undrain", "alpha", "--json", "--timeout", "5"}));
  EXPECT_TRUE(arguments_.json);
  EXPECT_EQ(arguments_.timeout, 5);
}

TEST_F(CommandLineTest, WaitsAsItIsTold) {
  ASSERT_TRUE(Parse({"destroy", "-d", "x"}));
  EXPECT_EQ(arguments_.wait, std::nullopt);
  ASSERT_TRUE(Parse({"destroy", "-d", "x", "--wait"}));
  EXPECT_EQ(arguments_.wait, true);
  ASSERT_TRUE(Parse({"destroy", "-d", "x", "--no-wait"}));
  EXPECT_EQ(arguments_.wait, false);
}

TEST_F(CommandLineTest, FindsControl) {
  ASSERT_TRUE(Parse({"ls"}));
  EXPECT_EQ(arguments_.control, "127.0.0.1:4524");
  ASSERT_TRUE(Parse({"--control-service", "array", "ls"}));
  EXPECT_EQ(arguments_.control, "array:4524");
  setenv("FLOCKER_CONTROL", "unix:/run/x", 1);
  ASSERT_TRUE(Parse({"ls"}));
  EXPECT_EQ(arguments_.control, "unix:/run/x");
  ASSERT_TRUE(Parse({"ls", "--control", "b:1"}));
  EXPECT_EQ(arguments_.control, "b:1");
  ASSERT_TRUE(Parse({"ls", "--control-service", "array"}));
  EXPECT_EQ(arguments_.control, "array:4524");
  EXPECT_FALSE(Parse({"ls", "--control", "b:1", "--control-service", "array"}));
  unsetenv("FLOCKER_CONTROL");
}

TEST_F(CommandLineTest, RefusesTheRest) {
  EXPECT_FALSE(Parse({}));
  EXPECT_FALSE(Parse({"create", "-n", "alpha"}));
  EXPECT_FALSE(Parse({"nodes", "reboot", "alpha"}));
  EXPECT_FALSE(Parse({"doctor", "--for", "everything"}));
  EXPECT_FALSE(Parse({"--timeout", "0", "ls"}));
}

}  // namespace
}  // namespace flocker
