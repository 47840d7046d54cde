#include "lun_victim.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {

bool LunVictim::IsIt(pid_t pid) const {
  // Its name first: of a process in the middle of an execve the arguments may be long in coming.
  if (ReadFile(absl::StrCat("/proc/", pid, "/comm")).value_or("") != "flocker-lun\n") return false;
  const std::string arguments = ReadFile(absl::StrCat("/proc/", pid, "/cmdline")).value_or("");
  return absl::StrContains(arguments, dataset_id_) && absl::StrContains(arguments, directory_);
}

pid_t LunVictim::Find() const {
  std::error_code ended;  // of a process, while its directory is read
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ended)) {
    pid_t pid = -1;
    if (absl::SimpleAtoi(entry.path().filename().string(), &pid) && IsIt(pid)) return pid;
  }
  return -1;
}

pid_t LunVictim::Kill(pid_t spared) const {
  const pid_t pid = Find();
  if (pid < 0 || pid == spared) return -1;
  const auto pidfd = OpenPidfd(pid);
  if (!pidfd.ok() || !IsIt(pid)) return -1;  // looked at again behind the pidfd: it is still the same process
  return syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0) == 0 ? pid : -1;
}

}  // namespace flocker::testing
