#include "engine/array/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flocker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Shell, QuotesEveryTextAsOneWord) {
  const Shell shell({});
  for (const std::string text : {"", "plain", "it's", "a b\tc\nd", "$HOME `id` \\ \" ; | & * ~ #", "''"}) {
    const auto result = shell.Run("echo", "printf %s " + ShellQuote(text), absl::Seconds(10));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->output, text);
  }
}

TEST(Shell, HandsThePrefixOneFurtherArgument) {
  const auto result = Shell({"printf", "<%s>"}).Run("x", "a 'b c'", absl::Seconds(10));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "<a 'b c'>");
}

TEST(Shell, LetsTheLineReadItsInputAndNothingElse) {
  const auto given =
      Shell({}).Run("x", "IFS= read -r a; printf %s \"$a\"; read -r b || echo .", absl::Seconds(10), "a 'b'\n");
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->output, "a 'b'.\n");
  EXPECT_EQ(Shell({}).Run("x", "cat", absl::Seconds(10))->output, "");
}

TEST(Shell, AnErrorSaysWhatAndNotTheLine) {
  const auto late = Shell({}).Run("wait", "sleep 60 # secret", absl::Milliseconds(20));
  EXPECT_EQ(late.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("wait: no answer within 20ms"));
  EXPECT_THAT(std::string(late.status().message()), Not(HasSubstr("secret")));
  const auto missing = Shell({"/no/such/ssh"}).Run("x", "secret", absl::Seconds(1));
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/no/such/ssh"));
}

}  // namespace
}  // namespace flocker
