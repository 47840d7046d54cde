#include "engine/base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace flocker {
namespace {

TEST(RunCommand, AnswersExitCodeAndOutput) {
  const auto result = RunCommand({"sh", "-c", "echo out; echo err >&2; exit 3"}, absl::Seconds(10));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\nerr\n");
}

TEST(RunCommand, KillsWhatDoesNotEnd) {
  const absl::Time start = absl::Now();
  const auto result = RunCommand({"sleep", "100"}, absl::Milliseconds(50));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
}

TEST(RunCommand, EndsWithTheProcessWhenADaemonKeepsThePipe) {
  const auto result = RunCommand({"sh", "-c", "sleep 5 & echo started"}, absl::Seconds(4));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "started\n");
}

TEST(RunCommand, SaysWhatCannotBeStarted) {
  const auto result = RunCommand({"/no/such/program"}, absl::Seconds(1));
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.status().message().find("/no/such/program"), absl::string_view::npos);
}

TEST(SpawnChild, PassesDescriptorsUnderTheirNumbers) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const unique_fd reader(ends[0]);
  unique_fd writer(ends[1]);
  ChildOptions options;
  options.argv = {"sh", "-c", "echo hello >&7"};
  options.keep = {{writer.get(), 7}};
  const auto child = SpawnChild(options);
  ASSERT_TRUE(child.ok()) << child.status();
  writer.reset();
  char buffer[16] = {};
  EXPECT_EQ(read(reader.get(), buffer, sizeof buffer), 6);
  EXPECT_TRUE(WaitEnd(child->pidfd, absl::Seconds(10)));
}

}  // namespace
}  // namespace flocker
