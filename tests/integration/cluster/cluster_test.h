// What every test of a whole cluster begins with: alpha and beta are up, and everything is checked to be gone
// afterwards.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/harness/cluster.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"

namespace flocker::testing {

class ClusterTest : public ::testing::Test {
 protected:
  explicit ClusterTest(const ClusterOptions& options = {}) : cluster_(options) {}

  void SetUp() override {
    const absl::Status started = cluster_.Start();
    ASSERT_TRUE(started.ok()) << started;
  }

  // A dataset on alpha, made through the tree, with one file in it.
  void MakeOnAlpha(const std::string& name, const std::string& content = "content\n") {
    ASSERT_EQ(MakeDir(cluster_.Path("alpha", name)), 0) << cluster_.Why(name);
    ASSERT_EQ(WriteFile(cluster_.Path("alpha", name) + "/file", content), 0);
  }

  // As a user of node `from` types it: mv <tree>/<from>/<name> <tree>/<to>/.
  int Mv(const std::string& name, const std::string& from, const std::string& to) {
    const std::string& tree = cluster_.tree(from);
    return Rename(tree + "/" + from + "/" + name, tree + "/" + to + "/" + name);
  }

  TestCluster cluster_;
};

}  // namespace flocker::testing
