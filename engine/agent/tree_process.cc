#include "engine/agent/tree_process.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

constexpr int kFirstPauseMs = 100;
constexpr int kMaxPauseMs = 5000;

// Field 22 of /proc/<pid>/stat (proc(5)): together with the pid it names one process of this boot.
absl::StatusOr<std::string> StartTime(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string stat, ReadFile(absl::StrCat("/proc/", pid, "/stat")));
  const size_t behind_name = stat.rfind(')');
  if (behind_name == std::string::npos) return absl::DataLossError("no name in /proc/<pid>/stat");
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(behind_name + 2), ' ');
  constexpr size_t kFromState = 22 - 3;
  if (fields.size() <= kFromState) return absl::DataLossError("too few fields in /proc/<pid>/stat");
  return fields[kFromState];
}

}  // namespace

TreeProcess::TreeProcess(Config config)
    : config_(std::move(config)), stop_(eventfd(0, EFD_CLOEXEC)), thread_([this] { Run(); }) {}

TreeProcess::~TreeProcess() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

unique_fd TreeProcess::FindRunning() const {
  const auto text = ReadFile(config_.pid_file);
  if (!text.ok()) return {};
  const std::vector<std::string> words = absl::StrSplit(*text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  pid_t pid = 0;
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &pid)) return {};
  auto pidfd = OpenPidfd(pid);
  const auto start = StartTime(pid);
  if (!pidfd.ok() || !start.ok() || *start != words[1]) return {};
  return *std::move(pidfd);
}

absl::StatusOr<unique_fd> TreeProcess::Start() const {
  // What a dead one left there answers nobody: ENOTCONN for every path below.
  const auto mount = FindMount(config_.mountpoint);
  RETURN_IF_ERROR(mount.status());
  if (mount->has_value()) {
    if (!absl::StartsWith((*mount)->type, "fuse.flocker")) {
      return absl::FailedPreconditionError(
          absl::StrCat(config_.mountpoint, " is a mount of type ", (*mount)->type, " that is not ours"));
    }
    RETURN_IF_ERROR(DetachFuseMount(config_.mountpoint));
  }
  ChildOptions options;
  options.argv = config_.argv;
  options.new_session = true;
  ASSIGN_OR_RETURN(Child child, SpawnChild(options));
  ASSIGN_OR_RETURN(const std::string start, StartTime(child.pid));
  RETURN_IF_ERROR(ReplaceFile(config_.pid_file, absl::StrCat(child.pid, " ", start, "\n")));
  return std::move(child.pidfd);
}

void TreeProcess::Run() {
  int pause = 0;
  unique_fd running = FindRunning();
  while (true) {
    const auto started = std::chrono::steady_clock::now();
    if (!running) {
      auto child = Start();
      if (child.ok()) {
        running = *std::move(child);
      } else {
        spdlog::error("flocker-fs cannot be started: {}", std::string(child.status().message()));
      }
    }
    // Until it ends, or until the next try when it could not be started.
    std::array<pollfd, 2> ready = {{{stop_.get(), POLLIN, 0}, {running.get(), POLLIN, 0}}};
    poll(ready.data(), ready.size(), running ? -1 : kMaxPauseMs);
    if (ready[0].revents != 0) return;
    if (!running) continue;
    WaitEnd(running, absl::ZeroDuration());
    running.reset();
    // One that ends at once is not started again at once.
    const bool lived = std::chrono::steady_clock::now() - started > std::chrono::seconds(10);
    pause = lived ? 0 : std::clamp(pause * 2, kFirstPauseMs, kMaxPauseMs);
    spdlog::error("flocker-fs at {} ended; it is started again in {} ms", config_.mountpoint, pause);
    poll(ready.data(), 1, pause);
    if (ready[0].revents != 0) return;
  }
}

}  // namespace flocker
