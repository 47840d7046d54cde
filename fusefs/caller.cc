#include "fusefs/caller.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/cgroup.h"
#include "engine/base/file.h"

namespace flocker {
namespace {

std::string ContainerOf(pid_t pid) {
  const auto cgroup = ReadFile(absl::StrCat("/proc/", pid, "/cgroup"));
  // Not there: it has ended, or is in a pid namespace that we do not see.
  return cgroup.ok() ? ContainerIdFromCgroup(*cgroup) : std::string();
}

}  // namespace

rpc::Caller DescribeCaller(const Request& request) {
  const fuse_ctx& context = request.caller();
  rpc::Caller caller;
  caller.set_uid(context.uid);
  caller.set_gid(context.gid);
  caller.set_pid(context.pid);
  caller.set_container(ContainerOf(context.pid));
  caller.set_via("tree");
  return caller;
}

bool IsDockerd(const Request& request) {
  // Of the very thread; Go's threads bear their program's name.
  const auto command = ReadFile(absl::StrCat("/proc/", request.caller().pid, "/comm"));
  return command.ok() && *command == "dockerd\n";
}

bool MayAdminister(const Request& request) {
  const std::string process = absl::StrCat("/proc/", request.caller().pid);
  struct stat theirs {};
  struct stat ours {};
  if (stat((process + "/ns/user").c_str(), &theirs) != 0 || stat("/proc/self/ns/user", &ours) != 0 ||
      theirs.st_ino != ours.st_ino) {
    return false;
  }
  const auto status = ReadFile(process + "/status");
  if (!status.ok()) return false;
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    uint64_t capabilities = 0;
    if (!absl::ConsumePrefix(&line, "CapEff:\t")) continue;
    return absl::SimpleHexAtoi(line, &capabilities) && (capabilities >> CAP_SYS_ADMIN & 1) != 0;
  }
  return false;
}

}  // namespace flocker
