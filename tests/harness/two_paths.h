// One dataset of a real cluster, and the two ways to its files: the tree and the native ext4 mount. What is done to
// both must come out the same.
#pragma once

#include <string>

#include "tests/harness/cluster.h"

namespace flocker::testing {

class TwoPaths {
 public:
  // Starts the cluster, makes the dataset and waits for it; a failed assertion when that does not work.
  TwoPaths();

  bool ready() const { return !native_.empty(); }
  TestCluster& cluster() { return cluster_; }
  // Both lead to the dataset's root.
  const std::string& tree() const { return tree_; }
  const std::string& native() const { return native_; }

  // Two new empty directories, side by side in the dataset, each to be used by one of its paths.
  struct Pair {
    std::string tree;          // reached through the tree
    std::string native;        // another one, reached natively
    std::string behind_tree;   // the first one, reached natively
    std::string above_native;  // the second one, reached through the tree
  };
  Pair MakePair();

 private:
  TestCluster cluster_;
  std::string tree_;
  std::string native_;
  int pairs_ = 0;
};

// The one that all tests of a binary share; made by the first that asks, gone before the binary ends.
TwoPaths& SharedTwoPaths();

}  // namespace flocker::testing
