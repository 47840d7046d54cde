#include "engine/base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"

extern char** environ;

namespace flocker {
namespace {

// <linux/wait.h>'s P_PIDFD is an enumerator in newer glibc only.
constexpr auto kWaitPidfd = static_cast<idtype_t>(3);

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

class SpawnAttributes {
 public:
  SpawnAttributes() { posix_spawnattr_init(&attributes_); }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

int PollTimeout(absl::Time deadline) {
  const absl::Duration left = deadline - SteadyNow();
  if (left <= absl::ZeroDuration()) return 0;
  if (left > absl::Hours(1)) return 3'600'000;
  return static_cast<int>(absl::ToInt64Milliseconds(left)) + 1;
}

// The reading end of a pipe that holds `text` and its end.
absl::StatusOr<unique_fd> PipeOf(const std::string& text) {
  std::array<int, 2> ends{};
  if (text.size() > PIPE_BUF) return absl::InvalidArgumentError("a command's input is too long");
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  unique_fd reader(ends[0]);
  const unique_fd writer(ends[1]);
  // An empty pipe takes it at once.
  if (write(writer.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, "cannot write a command's input");
  }
  return reader;
}

int ReapExitCode(const unique_fd& pidfd) {
  siginfo_t info{};
  if (waitid(kWaitPidfd, static_cast<id_t>(pidfd.get()), &info, WEXITED) != 0) return -1;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

absl::StatusOr<Child> SpawnChild(const ChildOptions& options) {
  SpawnActions actions;
  posix_spawn_file_actions_addopen(actions.get(), 0, "/dev/null", O_RDONLY, 0);
  if (options.output_fd >= 0) {
    posix_spawn_file_actions_adddup2(actions.get(), options.output_fd, 1);
    posix_spawn_file_actions_adddup2(actions.get(), options.output_fd, 2);
  }
  // Two steps through numbers above all that are named, so that one pair's target cannot close another pair's source.
  int last = STDERR_FILENO;
  int above = STDERR_FILENO;
  std::set<int> targets;
  for (const auto& [from, to] : options.keep) {
    last = std::max(last, to);
    above = std::max({above, from, to});
    targets.insert(to);
  }
  int staged = above;
  for (const auto& [from, to] : options.keep) posix_spawn_file_actions_adddup2(actions.get(), from, ++staged);
  staged = above;
  for (const auto& [from, to] : options.keep) posix_spawn_file_actions_adddup2(actions.get(), ++staged, to);
  // Also what a library opened without close-on-exec.
  for (int fd = STDERR_FILENO + 1; fd <= last; ++fd) {
    if (!targets.contains(fd)) posix_spawn_file_actions_addclose(actions.get(), fd);
  }
  posix_spawn_file_actions_addclosefrom_np(actions.get(), last + 1);
  SpawnAttributes attributes;
  sigset_t none;
  sigemptyset(&none);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(attributes.get(), &none);
  posix_spawnattr_setsigdefault(attributes.get(), &defaults);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(attributes.get(), static_cast<short>(flags));

  std::vector<char*> argv;
  argv.reserve(options.argv.size() + 1);
  for (const std::string& arg : options.argv) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);

  Child child;
  const int error = posix_spawnp(&child.pid, argv[0], actions.get(), attributes.get(), argv.data(), environ);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("cannot start ", options.argv[0]));
  auto pidfd = OpenPidfd(child.pid);
  absl::Status status = pidfd.status();
  if (options.cpu != absl::InfiniteDuration()) {
    const auto seconds = static_cast<rlim_t>(absl::ToInt64Seconds(options.cpu));
    const rlimit limit{seconds, seconds};
    if (prlimit(child.pid, RLIMIT_CPU, &limit, nullptr) != 0 && errno != ESRCH) {  // ESRCH: it has ended
      status = ErrnoStatus(errno, absl::StrCat("cannot limit ", options.argv[0]));
    }
  }
  if (!status.ok()) {  // or it would run without anybody who knows of it
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    return status;
  }
  child.pidfd = *std::move(pidfd);
  return child;
}

absl::StatusOr<unique_fd> OpenPidfd(pid_t pid) {
  unique_fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return ErrnoStatus(errno, absl::StrCat("pidfd_open of process ", pid));
  return pidfd;
}

bool WaitEnd(const unique_fd& pidfd, absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  while (true) {
    pollfd ready{pidfd.get(), POLLIN, 0};
    const int n = poll(&ready, 1, PollTimeout(deadline));
    if (n > 0) {
      siginfo_t info{};
      waitid(kWaitPidfd, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG);  // ECHILD when it is not ours
      return true;
    }
    if (n == 0 || errno != EINTR) return false;
  }
}

absl::StatusOr<CommandResult> RunCommand(const std::vector<std::string>& argv, absl::Duration timeout,
                                         const std::string& input, absl::Duration cpu) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  unique_fd reader(ends[0]);
  unique_fd writer(ends[1]);
  ChildOptions options;
  options.argv = argv;
  options.cpu = cpu;
  options.output_fd = writer.get();
  unique_fd given;
  if (!input.empty()) {
    ASSIGN_OR_RETURN(given, PipeOf(input));
    options.keep = {{given.get(), STDIN_FILENO}};
  }
  auto child = SpawnChild(options);
  if (!child.ok()) return child.status();
  writer.reset();

  fcntl(reader.get(), F_SETFL, O_NONBLOCK);

  const absl::Time deadline = SteadyNow() + timeout;
  CommandResult result;
  std::array<char, 4096> buffer{};
  const auto drain = [&] {
    ssize_t got = 0;
    while ((got = read(reader.get(), buffer.data(), buffer.size())) > 0) {
      result.output.append(buffer.data(), static_cast<size_t>(got));
    }
    if (got == 0) reader.reset();  // poll passes over a negative descriptor
  };
  // The end is the process's end, not the pipe's: a daemon it left behind may keep the pipe open for ever.
  while (true) {
    std::array<pollfd, 2> ready = {{{reader.get(), POLLIN, 0}, {child->pidfd.get(), POLLIN, 0}}};
    const int n = poll(ready.data(), ready.size(), PollTimeout(deadline));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      syscall(SYS_pidfd_send_signal, child->pidfd.get(), SIGKILL, nullptr, 0);
      ReapExitCode(child->pidfd);
      return absl::DeadlineExceededError(absl::StrCat("'", absl::StrJoin(argv, " "), "' did not end within ",
                                                      absl::FormatDuration(timeout), " and was killed"));
    }
    if (ready[0].revents != 0) drain();
    if (ready[1].revents != 0) break;
  }
  if (reader) drain();
  result.exit_code = ReapExitCode(child->pidfd);
  return result;
}

absl::StatusOr<std::string> RunChecked(const std::vector<std::string>& argv, absl::Duration timeout) {
  auto result = RunCommand(argv, timeout);
  if (!result.ok()) return result.status();
  if (result->exit_code != 0) {
    return absl::InternalError(
        absl::StrCat("'", absl::StrJoin(argv, " "), "' exited with ", result->exit_code, ": ", result->output));
  }
  return std::move(result->output);
}

}  // namespace flocker
