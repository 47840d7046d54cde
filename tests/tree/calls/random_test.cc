// Random calls by several users on a small set of names, so that they meet: the same on the tree and on ext4.
//   FLOCKER_TREE_SECONDS=600   how long (5)
//   FLOCKER_TREE_SEED=n        from which seed on (1)
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/harness/random_run.h"
#include "tests/harness/two_paths.h"
#include "tests/tree/calls/script.h"

namespace flocker::testing {
namespace {

class Author {
 public:
  explicit Author(uint64_t seed) : random_(seed) {}

  std::string Script(int lines) {
    std::string script = "chmod . 01777\n";
    for (int i = 0; i < lines; ++i) absl::StrAppend(&script, Identity(), Call(), "\n");
    return script;
  }

 private:
  template <class List>
  std::string Of(const List& list) {
    return std::data(list)[random_() % std::size(list)];
  }
  // Up to three levels of few names: most exist, in most roles.
  std::string Path() {
    static constexpr std::array kNames = {"a", "b", "c", "d"};
    std::string path = Of(kNames);
    while (random_() % 3 == 0) absl::StrAppend(&path, "/", Of(kNames));
    return path;
  }
  std::string Mode() {
    static constexpr std::array kModes = {"0755", "0644", "0777", "0700", "02775", "01777", "04755", "0000", "0555"};
    return Of(kModes);
  }
  std::string Id() {
    static constexpr std::array kIds = {"0", "65533", "65534", "-1"};
    return Of(kIds);
  }
  std::string Identity() {
    static constexpr std::array kWho = {
        "", "", "umask 027 ", "as 65534 ", "as 65533:65533,65534 ", "as 65533 umask 077 "};
    return Of(kWho);
  }
  std::string Flags() {
    static constexpr std::array kFlags = {"creat,rw", "creat,w", "r", "w,trunc", "creat,excl,w", "w,append", "rw"};
    return Of(kFlags);
  }
  std::string Descriptor() { return absl::StrCat("f", random_() % 3); }

  std::string Call() {
    switch (random_() % 26) {
      case 0:
      case 1:
      case 2:
        return absl::StrCat("mkdir ", Path(), " ", Mode());
      case 3:
        return absl::StrCat("rmdir ", Path());
      case 4:
        return absl::StrCat("unlink ", Path());
      case 5:
      case 6:
        return absl::StrCat("rename ", Path(), " ", Path());
      case 7:
        return absl::StrCat("rename ", Path(), " ", Path(), " exchange");
      case 8:
        return absl::StrCat("rename ", Path(), " ", Path(), " noreplace");
      case 9:
      case 10:
        return absl::StrCat("link ", Path(), " ", Path());
      case 11:
        return absl::StrCat("symlink ", Path(), " ", Path());
      case 12:
        return absl::StrCat("mknod ", Path(), " f ", Mode());
      case 13:
        return absl::StrCat("chmod ", Path(), " ", Mode());
      case 14:
        return absl::StrCat("chown ", Path(), " ", Id(), " ", Id());
      case 15:
        return absl::StrCat("truncate ", Path(), " ", random_() % 20000);
      case 16:
        return absl::StrCat("access ", Path(), " rw");
      case 17:
        return absl::StrCat("utimens ", Path(), " ", random_() % 1000, " ", random_() % 1000);
      case 18:
        return absl::StrCat("setxattr ", Path(), " user.x v", random_() % 100);
      case 19:
        return absl::StrCat("write ", Descriptor(), " ", std::string(random_() % 5000, 'w'), "e");
      case 20:
        return absl::StrCat("fchmod ", Descriptor(), " ", Mode());
      case 21:
        return absl::StrCat("ftruncate ", Descriptor(), " ", random_() % 9000);
      case 22:
        return absl::StrCat("fstat ", Descriptor());
      default:
        return absl::StrCat("open ", Descriptor(), " ", Path(), " ", Flags(), " ", Mode());
    }
  }

  std::mt19937_64 random_;
};

// A call that breaks two rules: the caller's kernel looks at types before it asks flocker-fs, and a sticky directory's
// rule is ext4's to apply, so the tree may name the other one.
bool BothRefused(const std::string& tree, const std::string& native) {
  const auto refused = [](const std::string& line) { return absl::StrContains(line, "  ->  E"); };
  return refused(tree) && (absl::EndsWith(native, "  ->  EPERM") || absl::EndsWith(native, "  ->  EACCES"));
}

// A chown(-1, -1) of a setuid file by somebody who may not: to flocker-fs it looks like what the kernel asks before a
// write.
bool DoesNothing(const std::string& tree, const std::string& native) {
  return absl::StrContains(tree, "chown ") && absl::EndsWith(tree, " -1 -1  ->  ok") &&
         absl::EndsWith(native, "  ->  EPERM");
}

TEST(RandomCalls, DoTheSameToTheTreeAndToExt4) {
  TwoPaths& paths = SharedTwoPaths();
  ASSERT_TRUE(paths.ready());
  RandomRun run("tree_calls_tests --gtest_filter=RandomCalls.*");
  while (const auto seed = run.Next()) {
    const TwoPaths::Pair pair = paths.MakePair();
    const std::string script = Author(*seed).Script(400);
    const Outcome native = RunScript(script, pair.native);
    const Outcome tree = RunScript(script, pair.tree);
    ASSERT_EQ(tree.lines.size(), native.lines.size()) << run.Replay();
    for (size_t i = 0; i < tree.lines.size(); ++i) {
      if (BothRefused(tree.lines[i], native.lines[i]) || DoesNothing(tree.lines[i], native.lines[i])) continue;
      ASSERT_EQ(tree.lines[i], native.lines[i]) << "at line " << i << " of " << script << "\n" << run.Replay();
    }
    std::filesystem::remove_all(pair.native);
    std::filesystem::remove_all(pair.tree);
    EXPECT_FALSE(std::filesystem::exists(pair.behind_tree)) << run.Replay();
  }
}

}  // namespace
}  // namespace flocker::testing
