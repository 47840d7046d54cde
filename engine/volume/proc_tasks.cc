#include "engine/volume/proc_tasks.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

// The entries of a /proc directory that are numbers, ascending as the kernel lists them. An error only when it cannot
// be opened.
absl::StatusOr<std::vector<std::string>> NumericEntries(int at, const std::string& path) {
  unique_fd fd(openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd.get()), closedir);
  if (!directory) return ErrnoStatus(errno, absl::StrCat("cannot list ", path));
  static_cast<void>(fd.release());  // closedir closes it
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') names.emplace_back(entry->d_name);
  }
  return names;
}

// Whether two tasks share that. False when the kernel cannot tell: then both are looked at.
bool Share(pid_t one, pid_t other, kcmp_type what) { return syscall(SYS_kcmp, one, other, what, 0, 0) == 0; }

}  // namespace

std::optional<InodeIdentity> ProcTask::Identity(const std::string& link) const {
  struct statx status {};
  if (statx(directory.get(), link.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO | STATX_MNT_ID,
            &status) != 0) {
    return std::nullopt;
  }
  return InodeIdentity{makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino, status.stx_mnt_id,
                       S_ISDIR(status.stx_mode)};
}

std::string ProcTask::LinkText(const std::string& link) const {
  std::array<char, 4096> text{};
  const ssize_t size = readlinkat(directory.get(), link.c_str(), text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<size_t>(size)) : "";
}

std::string ProcTask::Read(const std::string& file) const {
  const unique_fd fd(openat(directory.get(), file.c_str(), O_RDONLY | O_CLOEXEC));
  std::string content;
  std::array<char, 16384> buffer{};
  ssize_t got = 0;
  while (fd && ((got = read(fd.get(), buffer.data(), buffer.size())) > 0 || (got < 0 && errno == EINTR))) {
    if (got > 0) content.append(buffer.data(), static_cast<size_t>(got));
  }
  return content;
}

std::vector<std::string> ProcTask::Descriptors() const {
  auto names = NumericEntries(directory.get(), "fd");
  return names.ok() ? *std::move(names) : std::vector<std::string>();
}

absl::Status ForEachTask(const std::function<void(const ProcTask&)>& visit) {
  ASSIGN_OR_RETURN(const std::vector<std::string> processes, NumericEntries(AT_FDCWD, "/proc"));
  for (const std::string& process : processes) {
    const auto tasks = NumericEntries(AT_FDCWD, absl::StrCat("/proc/", process, "/task"));
    if (!tasks.ok()) continue;  // it has ended
    for (const std::string& name : *tasks) {
      ProcTask task;
      if (!absl::SimpleAtoi(process, &task.pid) || !absl::SimpleAtoi(name, &task.tid)) continue;
      const std::string path = absl::StrCat("/proc/", process, "/task/", name);
      task.directory.reset(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!task.directory) continue;
      if (task.tid != task.pid) {
        task.own_fs = !Share(task.pid, task.tid, KCMP_FS);
        task.own_files = !Share(task.pid, task.tid, KCMP_FILES);
        task.own_memory = !Share(task.pid, task.tid, KCMP_VM);
      }
      visit(task);
    }
  }
  return absl::OkStatus();
}

}  // namespace flocker
