#include "engine/base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/base/unique_fd.h"

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

TEST(RunCommand, EndsWhatSpinsBeyondItsProcessorTime) {
  const auto result = RunCommand({"sh", "-c", "while :; do :; done"}, absl::Minutes(2), "", absl::Seconds(1));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 128 + SIGKILL);
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

// Targets are sources of others, and sources have high numbers, as in a process that holds very much.
TEST(SpawnChild, PassesDescriptorsWhateverTheirNumbersAre) {
  std::vector<unique_fd> held;
  std::vector<std::string> names;
  for (const int number : {3, 4, 900, 901, 902}) {
    names.push_back(absl::StrCat("/memfd:", number, " (deleted)"));
    const unique_fd made(memfd_create(std::to_string(number).c_str(), MFD_CLOEXEC));
    held.emplace_back(fcntl(made.get(), F_DUPFD_CLOEXEC, 900));
  }
  ASSERT_LE(held.back().get(), 1000);
  ChildOptions options;
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const unique_fd reader(ends[0]);
  unique_fd writer(ends[1]);
  const unique_fd leaks(fcntl(reader.get(), F_DUPFD, 10));
  options.argv = {"sh", "-c", "for fd in /proc/$$/fd/*; do readlink $fd; done"};
  options.output_fd = writer.get();
  options.keep = {{held[4].get(), 3}, {held[3].get(), 4}, {held[2].get(), 5}, {held[1].get(), 6}, {held[0].get(), 7}};
  const auto child = SpawnChild(options);
  ASSERT_TRUE(child.ok()) << child.status();
  writer.reset();
  std::string said;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(reader.get(), buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
  const std::vector<std::string> lines = absl::StrSplit(said, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 8U) << said;
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(lines[3 + i], names[4 - i]) << said;
  EXPECT_TRUE(WaitEnd(child->pidfd, absl::Seconds(10)));
}

}  // namespace
}  // namespace flocker
