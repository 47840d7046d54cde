#include "engine/ctl/machine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>
#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"

namespace flocker {
namespace {

namespace fs = std::filesystem;

constexpr char kControl[] = "flocker-control";  // 15 bytes, as many as the kernel keeps of a name
constexpr char kControlYml[] = "/etc/flocker/control.yml";
constexpr int kPorts[] = {4523, 4524};  // flocker-v1.md's two, DESIGN §3

std::string OpenError(const char* path) {
  const unique_fd opened(open(path, O_RDWR | O_CLOEXEC));
  return opened.valid() ? "" : absl::StrCat(path, " does not open: ", strerror(errno));
}

bool InPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  // Daemons have the administrator's directories in their PATH also when a user's shell has not.
  for (const auto directory :
       absl::StrSplit(absl::StrCat(path != nullptr ? path : "", ":/usr/sbin:/sbin"), ':', absl::SkipEmpty())) {
    if (access(absl::StrCat(directory, "/", program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

bool HasCapability(unsigned capability) {
  const auto status = ReadFile("/proc/self/status");
  if (!status.ok()) return false;
  for (const auto line : absl::StrSplit(*status, '\n')) {
    absl::string_view hex = line;
    uint64_t effective = 0;
    if (absl::ConsumePrefix(&hex, "CapEff:\t") && absl::SimpleHexAtoi(hex, &effective)) {
      return (effective >> capability & 1) != 0;
    }
  }
  return false;
}

// Processes by pid, with what /proc/<pid>/comm calls them.
std::map<pid_t, std::string> Processes() {
  std::map<pid_t, std::string> processes;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const auto name = ReadFile(entry.path() / "comm");
    if (name.ok()) processes[pid] = std::string(absl::StripSuffix(*name, "\n"));  // else it ended meanwhile
  }
  return processes;
}

bool SameMounts(pid_t pid) {
  std::error_code error;
  const fs::path ours = fs::read_symlink("/proc/1/ns/mnt", error);
  if (error) return true;  // not to be seen by this user
  const fs::path theirs = fs::read_symlink(absl::StrCat("/proc/", pid, "/ns/mnt"), error);
  return error || ours == theirs;
}

// Inodes of the sockets that listen on the port (proc_net(5): the local address ends in the port, state 0A is LISTEN).
std::set<std::string> Listeners(int port) {
  std::set<std::string> inodes;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const auto text = ReadFile(table);
    if (!text.ok()) continue;
    for (const auto line : absl::StrSplit(*text, '\n')) {
      const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (fields.size() < 10 || fields[3] != "0A") continue;
      int number = 0;
      const size_t colon = fields[1].rfind(':');
      if (colon != std::string::npos && absl::SimpleHexAtoi(fields[1].substr(colon + 1), &number) && number == port) {
        inodes.insert(absl::StrCat("socket:[", fields[9], "]"));
      }
    }
  }
  return inodes;
}

std::string OwnerOf(int port, const std::map<pid_t, std::string>& processes) {
  const std::set<std::string> inodes = Listeners(port);
  if (inodes.empty()) return "";
  for (const auto& [pid, name] : processes) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(absl::StrCat("/proc/", pid, "/fd"), error)) {
      std::error_code gone;
      if (inodes.contains(fs::read_symlink(entry.path(), gone).string())) return absl::StrCat(name, " (pid ", pid, ")");
    }
  }
  return "a process that only root may see";
}

bool RunsLocalArray(const std::map<pid_t, std::string>& processes) {
  for (const auto& [pid, name] : processes) {
    if (name != kControl) continue;
    const auto line = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
    if (!line.ok()) continue;  // it ended meanwhile
    // proc(5): each argument ends in a NUL.
    std::vector<std::string> arguments = absl::StrSplit(absl::StripSuffix(*line, absl::string_view("\0", 1)), '\0');
    arguments.erase(arguments.begin());
    return HasLocalArray(std::move(arguments), absl::StrCat("/proc/", pid, "/cwd"), kControlYml);
  }
  return HasLocalArray({}, "/", kControlYml);
}

}  // namespace

bool HasLocalArray(std::vector<std::string> arguments, const std::string& directory, const std::string& default_file) {
  std::string array;
  std::string file = arguments.empty() ? default_file : "";
  CLI::App control;
  control.set_help_flag();
  control.allow_extras();
  control.add_option("--array", array);
  control.add_option("-c,--config", file);
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    control.parse(std::move(arguments));
    if (array.empty() && !file.empty()) array = YAML::LoadFile(fs::path(directory) / file)["array"].as<std::string>("");
  } catch (const CLI::Error&) {
  } catch (const YAML::Exception&) {
  }
  return array == "local";
}

MachineFacts ReadMachine(const std::set<MachineRole>& roles) {
  MachineFacts facts;
  struct utsname name {};
  if (uname(&name) == 0) facts.kernel = name.release;
  facts.root = geteuid() == 0;
  facts.fuse_error = OpenError("/dev/fuse");
  facts.loop_error = OpenError("/dev/loop-control");
  struct stat control {};
  struct stat parent {};
  facts.fuse_control = stat("/sys/fs/fuse/connections", &control) == 0 && stat("/sys/fs/fuse", &parent) == 0 &&
                       control.st_dev != parent.st_dev;  // a mount of its own
  facts.may_grow = HasCapability(CAP_SYS_RESOURCE);
  const auto processes = Processes();
  for (const auto& [pid, comm] : processes) {
    if (!absl::StartsWith(comm, "flocker-") && comm != "tgtd") continue;
    facts.daemons.push_back({.name = comm, .pid = pid, .host_mounts = SameMounts(pid)});
  }
  facts.local_array = RunsLocalArray(processes);
  for (const MachineRole role : roles) {
    for (const std::string& program : ProgramsOf(role, facts.local_array)) {
      if (!InPath(program)) facts.missing_programs.push_back(program);
    }
  }
  for (const int port : kPorts) facts.ports.push_back({.port = port, .owner = OwnerOf(port, processes)});
  return facts;
}

}  // namespace flocker
