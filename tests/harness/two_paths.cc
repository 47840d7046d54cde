#include "tests/harness/two_paths.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

std::unique_ptr<TwoPaths>& Shared() {
  static std::unique_ptr<TwoPaths> shared;
  return shared;
}

// Ends the cluster while the test program still counts failures.
class EndShared : public ::testing::Environment {
 public:
  void TearDown() override { Shared().reset(); }
};

const ::testing::Environment* const kEndShared = ::testing::AddGlobalTestEnvironment(new EndShared);  // gtest owns it

}  // namespace

TwoPaths::TwoPaths() : cluster_({.nodes = {"alpha"}}) {
  const absl::Status started = cluster_.Start();
  EXPECT_TRUE(started.ok()) << started;
  const std::string tree = cluster_.Path("alpha", "files");
  const int made = started.ok() ? MakeDir(tree) : -1;
  EXPECT_EQ(made, 0) << cluster_.Why("files");
  // Whoever first looks inside waits for the attach.
  const std::string probe = tree + "/probe";
  if (made != 0 || MakeDir(probe) != 0 || RemoveDir(probe) != 0) return;
  tree_ = tree;
  native_ = cluster_.NativePath("alpha", "files");
  EXPECT_NE(native_, "");
}

TwoPaths::Pair TwoPaths::MakePair() {
  const std::string number = absl::StrCat("/", ++pairs_);
  Pair pair;
  pair.tree = tree_ + number + ".tree";
  pair.behind_tree = native_ + number + ".tree";
  pair.native = native_ + number + ".native";
  pair.above_native = tree_ + number + ".native";
  EXPECT_EQ(MakeDir(pair.tree), 0);
  EXPECT_EQ(MakeDir(pair.native), 0);
  return pair;
}

TwoPaths& SharedTwoPaths() {
  static_cast<void>(kEndShared);
  if (Shared() == nullptr) Shared() = std::make_unique<TwoPaths>();
  return *Shared();
}

}  // namespace flocker::testing
