#include "engine/agent/tree_process.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/agent/own_processes.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

constexpr int kFirstPauseMs = 50;
constexpr int kMaxPauseMs = 2000;
constexpr int kMaxFailures = 10;  // some 10 seconds, unless they hang
// A successor that waits for a catalogue takes 5 s (fusefs/filesystem_takeover.cc), all else is memory.
constexpr int kHelloTimeoutMs = 20'000;
constexpr absl::Duration kAskTimeout = absl::Seconds(10);
constexpr char kProgram[] = "flocker-fs";
constexpr char kType[] = "fuse.flocker";
// What flocker-fs finds its descriptors by, and an agent that is started later.
constexpr int kFuseFd = 3;
constexpr int kStateFd = 4;

// A descriptor of another process, if it is of what it should be.
absl::StatusOr<unique_fd> CopyOf(const unique_fd& pidfd, int fd, const std::string& target) {
  unique_fd copy(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
  if (!copy)
    return ErrnoStatus(errno, absl::StrCat("take descriptor ", fd, " (", target, ") of the running flocker-fs"));
  std::error_code error;
  const auto found = std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", copy.get()), error);
  if (!error && found == target) return copy;
  return absl::FailedPreconditionError(
      absl::StrCat("descriptor ", fd, " of the running flocker-fs is ", found.string(), ", not ", target));
}

// A mountpoint that is made here is immutable, so that nobody (docker run -v, say) writes below it while no tree is
// mounted.
absl::Status MakeMountpoint(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0) {
    return errno == EEXIST ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("cannot make ", path));
  }
  const unique_fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int flags = 0;
  if (!directory || ioctl(directory.get(), FS_IOC_GETFLAGS, &flags) != 0 ||
      (flags |= FS_IMMUTABLE_FL, ioctl(directory.get(), FS_IOC_SETFLAGS, &flags)) != 0) {
    spdlog::warn("{} cannot be made immutable ({}): who writes there while this agent is stopped fills this disk", path,
                 strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace

TreeProcess::TreeProcess(Config config, KeptDescriptors kept)
    : config_(std::move(config)), stop_(eventfd(0, EFD_CLOEXEC)), kept_(std::move(kept)) {
  // Before it can say hello again: nobody is served by this agent yet.
  Process found = FindRunning();
  if (found.pidfd) {
    TakeCopies(found);
    const MutexLock lock(mutex_);
    running_ = found.pid;
    if (MountStands()) HandOverIfOutdated(found);
  }
  thread_ = std::thread([this, process = std::move(found)]() mutable { Run(std::move(process)); });
}

TreeProcess::~TreeProcess() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void TreeProcess::OnServing(pid_t pid) {
  const MutexLock lock(mutex_);
  if (pid != running_) return;  // an older one's last word
  served_ = true;
  // Not before: the service manager drops a /dev/fuse that is not mounted.
  if (kept_.fuse) config_.store->Keep(DescriptorStore::OfTree(), kept_.fuse.get(), kept_.memory.get());
}

// By what runs, and not by what an agent wrote down: that may have been killed before it did.
TreeProcess::Process TreeProcess::FindRunning() const {
  const auto pids = AllProcesses();
  if (!pids.ok()) spdlog::error("no running flocker-fs can be found: {}", std::string(pids.status().message()));
  for (const pid_t pid : pids.value_or(std::vector<pid_t>())) {
    if (MountpointOf(pid, kProgram) != config_.mountpoint || !SeesOurFiles(pid)) continue;
    auto pidfd = OpenPidfd(pid);
    // It may have ended, and the number may be another's.
    if (pidfd.ok() && MountpointOf(pid, kProgram) == config_.mountpoint) return {pid, *std::move(pidfd)};
  }
  return {};
}

void TreeProcess::TakeCopies(const Process& process) {
  KeptDescriptors copies;
  auto fuse = CopyOf(process.pidfd, kFuseFd, "/dev/fuse");
  auto memory = CopyOf(process.pidfd, kStateFd, "/memfd:flocker-fs-state (deleted)");
  if (!fuse.ok() || !memory.ok()) {
    spdlog::warn("{}; should flocker-fs die, it is followed by one with a new mount",
                 std::string((fuse.ok() ? memory.status() : fuse.status()).message()));
    return;
  }
  const MutexLock lock(mutex_);
  kept_ = {*std::move(fuse), *std::move(memory)};
}

bool TreeProcess::MountStands() const {
  if (!kept_.fuse || !kept_.memory) return false;
  // fuse_dev_poll: an error before the mount and after its end, nothing else.
  pollfd ready{kept_.fuse.get(), POLLIN, 0};
  if (poll(&ready, 1, 0) < 0 || (ready.revents & (POLLERR | POLLNVAL)) != 0) return false;
  const auto mount = FindMount(config_.mountpoint);
  return mount.ok() && mount->has_value() && absl::StartsWith((*mount)->type, kType);
}

absl::Status TreeProcess::Renew() {
  config_.store->Remove(DescriptorStore::OfTree());
  kept_ = {};
  // What a dead one left there answers nobody: ENOTCONN for every path below.
  ASSIGN_OR_RETURN(const auto mount, FindMount(config_.mountpoint));
  if (mount.has_value()) {
    if (!absl::StartsWith(mount->type, kType)) {
      return absl::FailedPreconditionError(
          absl::StrCat(config_.mountpoint, " is a mount of type ", mount->type, " that is not ours"));
    }
    RETURN_IF_ERROR(DetachFuseMount(config_.mountpoint));
  }
  RETURN_IF_ERROR(MakeMountpoint(config_.mountpoint));
  KeptDescriptors fresh;
  fresh.fuse.reset(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fresh.fuse) return ErrnoStatus(errno, "open /dev/fuse (is the module fuse loaded?)");
  fresh.memory.reset(memfd_create("flocker-fs-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fresh.memory) return ErrnoStatus(errno, "create a memfd for flocker-fs");
  kept_ = std::move(fresh);
  return absl::OkStatus();
}

absl::StatusOr<TreeProcess::Process> TreeProcess::Start() {
  const MutexLock lock(mutex_);
  const bool successor = MountStands();
  if (!successor) RETURN_IF_ERROR(Renew());
  ChildOptions options;
  options.argv = {config_.binary};
  options.argv.insert(options.argv.end(), config_.arguments.begin(), config_.arguments.end());
  options.argv.insert(options.argv.end(), {"--fuse-fd", absl::StrCat(kFuseFd), "--state-fd", absl::StrCat(kStateFd)});
  options.keep = {{kept_.fuse.get(), kFuseFd}, {kept_.memory.get(), kStateFd}};
  options.new_session = true;
  ASSIGN_OR_RETURN(Child child, SpawnChild(options));
  running_ = child.pid;
  served_ = false;
  Process process{child.pid, std::move(child.pidfd), true};
  if (successor) spdlog::warn("flocker-fs {} goes on with the tree at {}", process.pid, config_.mountpoint);
  return process;
}

void TreeProcess::HandOverIfOutdated(const Process& process) const {
  struct stat runs {};
  struct stat installed {};
  if (stat(absl::StrCat("/proc/", process.pid, "/exe").c_str(), &runs) != 0 ||
      stat(config_.binary.c_str(), &installed) != 0) {
    return;
  }
  // A running binary cannot be overwritten (ETXTBSY), only replaced: another file has another inode.
  if (runs.st_dev == installed.st_dev && runs.st_ino == installed.st_ino) return;
  const std::string memory = absl::StrCat("/proc/", getpid(), "/fd/", kept_.memory.get());
  if (const auto fits = RunChecked({config_.binary, "--fits", memory}, kAskTimeout); !fits.ok()) {
    spdlog::error("flocker-fs {} runs another file than {}, which cannot go on with its tree: it stays ({})",
                  process.pid, config_.binary, std::string(fits.status().message()));
    return;
  }
  spdlog::info("flocker-fs {} runs another file than {}: it is to hand over", process.pid, config_.binary);
  syscall(SYS_pidfd_send_signal, process.pidfd.get(), SIGUSR1, nullptr, 0);
}

bool TreeProcess::WaitForEnd(const Process& process) {
  if (process.started_here) {
    if (!Wait(process, kHelloTimeoutMs)) return false;
    bool served = false;
    {
      const MutexLock lock(mutex_);
      served = served_;
    }
    if (!served && !WaitEnd(process.pidfd, absl::ZeroDuration())) {
      spdlog::error("flocker-fs {} has not said hello within {} ms: it is killed", process.pid, kHelloTimeoutMs);
      syscall(SYS_pidfd_send_signal, process.pidfd.get(), SIGKILL, nullptr, 0);
    }
  }
  return Wait(process, -1);
}

bool TreeProcess::Wait(const Process& process, int milliseconds) const {
  std::array<pollfd, 2> ready = {{{stop_.get(), POLLIN, 0}, {process.pidfd.get(), POLLIN, 0}}};
  poll(ready.data(), ready.size(), milliseconds);
  return ready[0].revents == 0;
}

void TreeProcess::Run(Process running) {
  int failures = 0;  // one after the other: ended without a hello
  while (true) {
    if (!running.pidfd) {
      auto child = Start();
      if (child.ok()) {
        running = *std::move(child);
      } else {
        spdlog::error("flocker-fs cannot be started: {}", std::string(child.status().message()));
      }
    }
    // Until it ends, or until the next try when it could not be started. The pidfd tells after the kernel has closed
    // the last of the process's descriptors, and every call that its threads were in has returned.
    if (running.pidfd ? !WaitForEnd(running) : !Wait({}, kMaxPauseMs)) return;
    if (!running.pidfd) continue;
    WaitEnd(running.pidfd, absl::ZeroDuration());
    running = {};
    bool served = false;
    {
      const MutexLock lock(mutex_);
      running_ = 0;
      served = std::exchange(served_, false);
      failures = served ? 0 : failures + 1;
      if (failures >= kMaxFailures && MountStands()) {
        spdlog::error("no flocker-fs can go on with the tree at {}; it is mounted anew", config_.mountpoint);
        if (const absl::Status renewed = Renew(); !renewed.ok()) spdlog::error("{}", std::string(renewed.message()));
      }
    }
    // One that served is followed at once: its users wait.
    const int pause = served ? 0 : std::min(kFirstPauseMs << std::min(failures - 1, 6), kMaxPauseMs);
    spdlog::error("flocker-fs at {} ended; it is started again in {} ms", config_.mountpoint, pause);
    if (!Wait({}, pause)) return;
  }
}

}  // namespace flocker
