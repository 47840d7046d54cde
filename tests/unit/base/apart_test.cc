#include "engine/base/apart.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "engine/base/unique_fd.h"

namespace flocker {
namespace {

TEST(Apart, AnswersWhatTheCallAnswers) {
  EXPECT_EQ(CallApart([] { return 0; }), 0);
  EXPECT_EQ(CallApart([] { return EBUSY; }), EBUSY);
  EXPECT_EQ(CallApart([] { return raise(SIGKILL); }), ECANCELED);
}

TEST(Apart, HasNoDescriptorsButThoseToKeep) {
  const unique_fd first(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const unique_fd second(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const unique_fd third(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto open_ones = [&] {
    int mask = 0;
    if (fcntl(first.get(), F_GETFD) >= 0) mask |= 1;
    if (fcntl(second.get(), F_GETFD) >= 0) mask |= 2;
    if (fcntl(third.get(), F_GETFD) >= 0) mask |= 4;
    return mask;
  };
  EXPECT_EQ(CallApart(open_ones), 0);
  EXPECT_EQ(CallApart(open_ones, {second.get()}), 2);
  EXPECT_EQ(CallApart(open_ones, {third.get(), first.get()}), 5);
}

TEST(Apart, DiesWithItsMaker) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const unique_fd reader(ends[0]);
  unique_fd writer(ends[1]);
  const pid_t maker = fork();
  ASSERT_GE(maker, 0);
  if (maker == 0) {
    _exit(CallApart(
        [&] {
          const pid_t self = getpid();
          if (write(writer.get(), &self, sizeof(self)) != sizeof(self)) return errno;
          return pause();
        },
        {writer.get()}));
  }
  pid_t child = 0;
  ASSERT_EQ(read(reader.get(), &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  writer.reset();
  ASSERT_EQ(kill(maker, SIGKILL), 0);
  ASSERT_EQ(waitpid(maker, nullptr, 0), maker);
  char byte = 0;
  EXPECT_EQ(read(reader.get(), &byte, 1), 0) << "its end of the pipe is still open";
}

}  // namespace
}  // namespace flocker
