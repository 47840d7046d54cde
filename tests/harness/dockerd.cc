#include "tests/harness/dockerd.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>

#include <filesystem>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
// Not the first in PATH: another one may be too new for this dockerd.
constexpr char kDocker[] = "/usr/bin/docker";

// Process 1 of the namespaces: it reaps what nobody else does.
constexpr char kInit[] =
    "mount -t tmpfs tmpfs /run && mkdir -p /run/docker/plugins && mount --bind \"$1\" /run/docker/plugins && "
    "touch \"$2\" && sleep infinity & wait";

constexpr char kMakeImage[] =
    "mkdir -p \"$1/bin\" \"$1/tmp\" && cp /usr/bin/busybox \"$1/bin/\" && chroot \"$1\" /bin/busybox --install -s /bin "
    "&& "
    "tar --create --directory \"$1\" . >\"$1.tar\"";

// The only child of a process that waits for it; -1 when there is none.
pid_t ChildOf(pid_t parent) {
  const auto text = ReadFile(absl::StrCat("/proc/", parent, "/task/", parent, "/children"));
  pid_t child = -1;
  if (!text.ok() || !absl::SimpleAtoi(std::vector<std::string>(absl::StrSplit(*text, ' '))[0], &child)) return -1;
  return child;
}

}  // namespace

Dockerd::Dockerd(std::string dir, std::string plugins, std::vector<std::string> flags)
    : dir_(std::move(dir)),
      plugins_(std::move(plugins)),
      flags_(std::move(flags)),
      cgroup_(absl::StrCat("flocker-test-", RandomHex(6))) {
  for (const std::string& made : {dir_ + "/data", dir_ + "/exec", plugins_}) std::filesystem::create_directories(made);
}

Dockerd::~Dockerd() {
  if (daemon_ != nullptr && daemon_->running()) {
    const std::string docker = absl::StrCat(kDocker, " --host unix://", dir_, "/docker.sock ");
    const auto removed = RunChecked(
        {"sh", "-c", absl::StrCat("c=$(", docker, "ps --all --quiet); test -z \"$c\" || ", docker, "rm --force $c")},
        absl::Minutes(1));
    EXPECT_TRUE(removed.ok()) << removed.status();
    if (const pid_t pid = ChildOf(daemon_->pid()); pid > 0) kill(pid, SIGTERM);
    EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return !daemon_->running(); })) << "dockerd does not end";
  }
  if (holder_.pidfd) {
    syscall(SYS_pidfd_send_signal, holder_.pidfd.get(), SIGKILL, nullptr, 0);  // and init with it, and all others
    WaitEnd(holder_.pidfd, absl::Seconds(10));
    EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return init_ <= 0 || kill(init_, 0) != 0; }));
  }
  if (::testing::Test::HasFailure()) std::cerr << "-- " << dir_ << "/dockerd.log\n" << log();
  // runc makes one in each hierarchy, and dockerd leaves the parent behind.
  std::error_code error;
  for (const auto& hierarchy : std::filesystem::directory_iterator("/sys/fs/cgroup", error)) {
    std::filesystem::remove(hierarchy.path() / cgroup_, error);
  }
  std::filesystem::remove(std::filesystem::path("/sys/fs/cgroup") / cgroup_, error);
}

absl::Status Dockerd::MakeNamespaces() {
  const std::string ready = dir_ + "/namespaces";
  ChildOptions options;
  options.argv = {"unshare", "--mount", "--propagation", "slave", "--pid",  "--fork", "--kill-child", "--mount-proc",
                  "sh",      "-c",      kInit,           "init",  plugins_, ready};
  options.new_session = true;
  ASSIGN_OR_RETURN(holder_, SpawnChild(options));
  if (!Eventually(kStartTimeout, [&] { return std::filesystem::exists(ready); })) {
    return absl::DeadlineExceededError("no namespaces for dockerd");
  }
  init_ = ChildOf(holder_.pid);
  return absl::OkStatus();
}

absl::Status Dockerd::MakeImage() const {
  const std::string tree = dir_ + "/box";
  RETURN_IF_ERROR(RunChecked({"sh", "-c", kMakeImage, "box", tree}, kStartTimeout).status());
  return RunChecked(Command({"import", tree + ".tar", "box"}), kStartTimeout).status();
}

absl::Status Dockerd::Start() {
  const bool first = !holder_.pidfd;
  if (first) RETURN_IF_ERROR(MakeNamespaces());
  std::error_code error;
  std::filesystem::remove(dir_ + "/docker.pid", error);  // a killed one leaves it
  std::vector<std::string> argv = {"nsenter",
                                   "--target",
                                   absl::StrCat(init_),
                                   "--mount",
                                   "--pid",
                                   "dockerd",
                                   "--data-root",
                                   dir_ + "/data",
                                   "--exec-root",
                                   dir_ + "/exec",
                                   "--pidfile",
                                   dir_ + "/docker.pid",
                                   "--host",
                                   absl::StrCat("unix://", dir_, "/docker.sock"),
                                   "--iptables=false",
                                   "--ip6tables=false",
                                   "--bridge=none",
                                   "--storage-driver=vfs",
                                   "--userland-proxy=false",
                                   "--cgroup-parent",
                                   "/" + cgroup_};
  argv.insert(argv.end(), flags_.begin(), flags_.end());
  daemon_ = std::make_unique<Daemon>(argv, dir_ + "/dockerd.log");
  RETURN_IF_ERROR(daemon_->Start());
  if (!Eventually(kStartTimeout, [&] { return Docker({"version"}).exit_code == 0; })) {
    return absl::DeadlineExceededError(absl::StrCat("dockerd does not come up:\n", daemon_->log()));
  }
  return first ? MakeImage() : absl::OkStatus();
}

void Dockerd::Kill() {
  const pid_t pid = ChildOf(daemon_->pid());
  ASSERT_GT(pid, 0);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return !daemon_->running(); }));
}

std::vector<std::string> Dockerd::Command(const std::vector<std::string>& args) const {
  std::vector<std::string> argv = {kDocker, "--host", absl::StrCat("unix://", dir_, "/docker.sock")};
  argv.insert(argv.end(), args.begin(), args.end());
  return argv;
}

CommandResult Dockerd::Docker(const std::vector<std::string>& args, absl::Duration timeout) const {
  auto result = RunCommand(Command(args), timeout);
  return result.ok() ? *std::move(result) : CommandResult{-1, std::string(result.status().message())};
}

CommandResult Dockerd::Run(const std::vector<std::string>& args, absl::Duration timeout) const {
  std::vector<std::string> run = {"run", "--network", "none"};
  run.insert(run.end(), args.begin(), args.end());
  return Docker(run, timeout);
}

}  // namespace flocker::testing
