// rename with RENAME_EXCHANGE: two datasets change places, both or neither.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class Exchange : public ClusterTest {
 protected:
  static int Swap(const std::string& one, const std::string& two) {
    return renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, two.c_str(), RENAME_EXCHANGE) == 0 ? 0 : errno;
  }
  std::string Content(const std::string& node, const std::string& name) {
    return ReadFile(cluster_.Path(node, name) + "/file").value_or("unread");
  }
  std::string InAlphasTree(const std::string& place) { return absl::StrCat(cluster_.tree("alpha"), "/", place); }
};

TEST_F(Exchange, OnOneNodeTheNamesChangeAlsoInUse) {
  MakeOnAlpha("blue", "blue's");
  MakeOnAlpha("green", "green's");
  const unique_fd held(open((cluster_.Path("alpha", "blue") + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held.valid());
  ASSERT_EQ(Swap(InAlphasTree("alpha/blue"), InAlphasTree("alpha/green")), 0) << cluster_.Why("blue");
  EXPECT_EQ(Content("alpha", "blue"), "green's");
  EXPECT_EQ(Content("alpha", "green"), "blue's");
  char byte = 0;
  EXPECT_EQ(read(held.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'b');
  EXPECT_EQ(Swap(InAlphasTree("alpha/blue"), InAlphasTree("alpha/none")), ENOENT);
  EXPECT_EQ(Swap(InAlphasTree("alpha/blue"), InAlphasTree(".trash")), EPERM);
}

TEST_F(Exchange, AcrossNodesBothMoveAndComeBack) {
  MakeOnAlpha("one", "one's");
  MakeOnAlpha("two", "two's");
  ASSERT_EQ(Mv("two", "alpha", "beta"), 0) << cluster_.Why("two");
  ASSERT_EQ(Swap(InAlphasTree("alpha/one"), InAlphasTree("beta/two")), 0) << cluster_.Why("one");
  EXPECT_EQ(Content("alpha", "one"), "two's");
  EXPECT_EQ(Content("beta", "two"), "one's");
  ASSERT_EQ(Swap(InAlphasTree("alpha/one"), InAlphasTree("beta/two")), 0) << cluster_.Why("one");
  EXPECT_EQ(Content("alpha", "one"), "one's");
  EXPECT_EQ(Content("beta", "two"), "two's");
}

TEST_F(Exchange, NothingChangesWhenEitherIsInUse) {
  MakeOnAlpha("one", "one's");
  MakeOnAlpha("two", "two's");
  ASSERT_EQ(Mv("two", "alpha", "beta"), 0) << cluster_.Why("two");
  ASSERT_EQ(Content("beta", "two"), "two's");  // waits for the attach
  for (const auto& [node, name] : {std::pair("alpha", "one"), std::pair("beta", "two")}) {
    SCOPED_TRACE(name);
    const unique_fd held(open((cluster_.NativePath(node, name) + "/file").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(held.valid());
    EXPECT_EQ(Swap(InAlphasTree("alpha/one"), InAlphasTree("beta/two")), EBUSY);
    EXPECT_EQ(pwrite(held.get(), "O", 1, 0), 1);
    EXPECT_EQ(fsync(held.get()), 0) << "who held it goes on";
    EXPECT_EQ(Content("alpha", "one").substr(1), "ne's");
    EXPECT_EQ(Content("beta", "two").substr(1), "wo's");
    EXPECT_TRUE(Eventually(absl::Seconds(10),
                           [&] { return cluster_.AttachedOn("alpha", "one") && cluster_.AttachedOn("beta", "two"); }));
  }
}

}  // namespace
}  // namespace flocker::testing
