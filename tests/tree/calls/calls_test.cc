// Each list of calls runs on a directory of the tree and on one of the native ext4: both must answer what the script
// says, and all else that can be seen must be equal.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_join.h"
#include "tests/harness/two_paths.h"
#include "tests/tree/calls/call_lists.h"
#include "tests/tree/calls/script.h"

namespace flocker::testing {

void PrintTo(const CallList& list, std::ostream* out) { *out << list.name; }

namespace {

class Calls : public ::testing::TestWithParam<CallList> {};

TEST_P(Calls, AnswerAsExt4Does) {
  TwoPaths& paths = SharedTwoPaths();
  ASSERT_TRUE(paths.ready());
  const TwoPaths::Pair pair = paths.MakePair();
  const Outcome native = RunScript(GetParam().script, pair.native);
  EXPECT_TRUE(native.failures.empty()) << "ext4 itself answers otherwise:\n" << absl::StrJoin(native.failures, "\n");
  const Outcome tree = RunScript(GetParam().script, pair.tree);
  EXPECT_TRUE(tree.failures.empty()) << "in the tree:\n" << absl::StrJoin(tree.failures, "\n");
  EXPECT_EQ(tree.lines, native.lines);
}

const auto kName = [](const auto& list) { return std::string(list.param.name); };
INSTANTIATE_TEST_SUITE_P(Names, Calls, ::testing::ValuesIn(NameCalls()), kName);
INSTANTIATE_TEST_SUITE_P(Attributes, Calls, ::testing::ValuesIn(AttributeCalls()), kName);

}  // namespace
}  // namespace flocker::testing
