#include "engine/agent/own_processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker {

absl::StatusOr<std::vector<pid_t>> AllProcesses() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir("/proc"), closedir);
  if (!entries) return ErrnoStatus(errno, "cannot list /proc");
  while (const dirent* entry = readdir(entries.get())) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) pids.push_back(pid);
  }
  return pids;
}

namespace {

// Anybody can give a process a name and arguments. It is root's, and runs a file of that name which is root's, or of
// whom ours is (in a checkout that somebody built).
bool RunsOurs(pid_t pid, std::string_view program) {
  const std::string exe = absl::StrCat("/proc/", pid, "/exe");
  struct statx runs {};
  struct stat ours {};
  std::error_code error;
  const std::string name = std::filesystem::read_symlink(exe, error).filename();
  if (error || (name != program && name != absl::StrCat(std::string(program), " (deleted)"))) return false;
  // Without a request: the file may be in our own tree, where nobody answers before we have started a flocker-fs.
  if (statx(AT_FDCWD, exe.c_str(), AT_STATX_DONT_SYNC, STATX_UID | STATX_MODE, &runs) != 0 ||
      stat("/proc/self/exe", &ours) != 0) {
    return false;
  }
  if ((runs.stx_uid != 0 && runs.stx_uid != ours.st_uid) || (runs.stx_mode & S_IWOTH) != 0) return false;
  const auto status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  return status.ok() && absl::StrContains(*status, "\nUid:\t0\t0\t0\t0\n");
}

}  // namespace

std::optional<std::string> MountpointOf(pid_t pid, std::string_view program) {
  // The name first: reading a command line takes the process's memory lock, and one of somebody else's that is stuck
  // would hold us for ever. The name (at most 15 characters, proc(5)) is read without.
  const auto name = ReadFile(absl::StrCat("/proc/", pid, "/comm"));
  if (!name.ok() || *name != std::string(program) + "\n") return std::nullopt;
  if (!RunsOurs(pid, program)) return std::nullopt;
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
  if (!text.ok()) return std::nullopt;  // it has ended
  const std::vector<std::string> words = absl::StrSplit(*text, '\0');
  if (std::filesystem::path(words[0]).filename() != program) return std::nullopt;
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    if (words[i] == "--mountpoint") return words[i + 1];
  }
  return std::nullopt;
}

bool SeesOurFiles(pid_t pid) {
  std::error_code error;
  const auto ours = std::filesystem::read_symlink("/proc/self/ns/mnt", error);
  return !error && std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/ns/mnt"), error) == ours;
}

}  // namespace flocker
