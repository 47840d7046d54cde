// Random operations on one file, each done to the tree's and to ext4's, and what is read compared.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "operated_file.h"
#include "tests/harness/random_run.h"
#include "tests/harness/two_paths.h"

namespace flocker::testing {
namespace {

TEST(RandomFile, HasTheSameContentInTheTreeAndOnExt4) {
  TwoPaths& paths = SharedTwoPaths();
  ASSERT_TRUE(paths.ready());
  RandomRun run("tree_files_tests --gtest_filter=RandomFile.*");
  while (const auto seed = run.Next()) {
    const TwoPaths::Pair pair = paths.MakePair();
    std::mt19937_64 random(*seed);
    OperatedFile tree(pair.tree + "/file");
    OperatedFile native(pair.native + "/file");
    OperatedFile behind(pair.behind_tree + "/file");  // the tree's, reached natively
    std::string history;
    for (int i = 0; i < 500; ++i) {
      const FileOperation op = FileOperation::Random(random);
      absl::StrAppend(&history, op.Text(), "\n");
      const auto expected = native.Do(op);
      const auto got = tree.Do(op);
      ASSERT_EQ(got.first, expected.first) << history << run.Replay();
      ASSERT_TRUE(got.second == expected.second) << "other content\n" << history << run.Replay();
      ASSERT_EQ(tree.size(), native.size()) << history << run.Replay();
      if (i % 25 != 24) continue;
      // Somebody natively changes the tree's file, between two opens of it.
      const FileOperation theirs = {FileOperation::kWrite, op.to, 0, 5000, 'N'};
      native.Do(theirs);
      behind.Do(theirs);
      tree.Do({FileOperation::kReopen});
      const auto whole = native.Read(0, 2 * kMaxFileSize);
      ASSERT_TRUE(tree.Read(0, 2 * kMaxFileSize) == whole) << "the whole file, in the tree\n"
                                                           << history << run.Replay();
      ASSERT_TRUE(behind.Read(0, 2 * kMaxFileSize) == whole) << "the same, natively\n" << history << run.Replay();
    }
    std::filesystem::remove_all(pair.tree);
    std::filesystem::remove_all(pair.native);
  }
}

}  // namespace
}  // namespace flocker::testing
