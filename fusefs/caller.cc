#include "fusefs/caller.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"

namespace flocker {
namespace {

// docker, podman and containerd name a container's cgroup after its id: 64 hex digits, with or without other words
// around them ("docker-<id>.scope").
std::string ContainerOf(pid_t pid) {
  constexpr size_t kIdLength = 64;
  const auto cgroup = ReadFile(absl::StrCat("/proc/", pid, "/cgroup"));
  if (!cgroup.ok()) return {};  // it has ended, or is in a pid namespace that we do not see
  size_t run = 0;
  for (size_t i = 0; i < cgroup->size(); ++i) {
    const char c = (*cgroup)[i];
    run = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ? run + 1 : 0;
    if (run == kIdLength) return cgroup->substr(i + 1 - kIdLength, kIdLength);
  }
  return {};
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
