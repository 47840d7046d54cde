#include "engine/agent/predecessor.h"

#include <csignal>
#include <cstdint>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/lun/client.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

// Of proc(5)'s status: its main thread has ended, or a SIGKILL that no thread can refuse is on its way.
bool IsBeingKilled(int pid) {
  const auto status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  if (!status.ok()) return false;
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    if (absl::ConsumePrefix(&line, "State:\t") && (line[0] == 'Z' || line[0] == 'X')) return true;
    uint64_t pending = 0;
    if ((absl::ConsumePrefix(&line, "SigPnd:\t") || absl::ConsumePrefix(&line, "ShdPnd:\t")) &&
        absl::SimpleHexAtoi(line, &pending) && (pending & (uint64_t{1} << (SIGKILL - 1))) != 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool HelpToEnd(const std::string& root) {
  const auto holder = ReadFile(absl::StrCat(root, "/lock"));
  int pid = 0;
  if (!holder.ok() || !absl::SimpleAtoi(absl::StripSuffix(*holder, "\n"), &pid) || !IsBeingKilled(pid)) return false;
  const auto mounts = ReadOwnMounts();
  if (!mounts.ok()) {
    spdlog::error("{}", std::string(mounts.status().message()));
    return true;
  }
  for (const MountEntry& mount : *mounts) {
    if (!IsAtOrBelow(mount.mount_point, absl::StrCat(root, "/lun"))) continue;
    if (lun::LunClient::Connect(absl::StrCat(mount.mount_point, ".sock")).ok()) continue;  // it serves on
    spdlog::warn("the agent {} was killed together with the flocker-lun of {}, and waits for it: cutting that off", pid,
                 mount.mount_point);
    if (const absl::Status cut = AbortFuseConnection(mount.device); !cut.ok()) {
      spdlog::error("{}", std::string(cut.message()));
    }
  }
  return true;
}

}  // namespace flocker
