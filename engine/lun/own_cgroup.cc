#include "engine/lun/own_cgroup.h"

#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::lun {
namespace {

std::vector<std::string> MemoryHierarchies() {
  std::vector<std::string> found;
  const std::unique_ptr<FILE, int (*)(FILE*)> mounts(setmntent("/proc/self/mounts", "re"), &endmntent);
  if (mounts == nullptr) return found;
  while (const mntent* mount = getmntent(mounts.get())) {
    const std::string type = mount->mnt_type;
    const std::string where = mount->mnt_dir;
    const bool v1 = type == "cgroup" && hasmntopt(mount, "memory") != nullptr;
    const bool v2 =
        type == "cgroup2" && absl::StrContains(ReadFile(where + "/cgroup.controllers").value_or(""), "memory");
    if (v1 || v2) found.push_back(where);
  }
  return found;
}

absl::Status Join(const std::string& hierarchy) {
  const std::string group = hierarchy + "/flocker-lun";
  if (mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, absl::StrCat("cannot make the cgroup ", group));
  }
  const unique_fd procs(open((group + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!procs || write(procs.get(), "0", 1) != 1) return ErrnoStatus(errno, absl::StrCat("cannot join ", group));
  return absl::OkStatus();
}

}  // namespace

absl::Status JoinOwnCgroup() {
  absl::Status first;
  for (const std::string& hierarchy : MemoryHierarchies()) first.Update(Join(hierarchy));
  return first;
}

}  // namespace flocker::lun
