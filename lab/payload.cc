#include "lab/payload.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker::lab {

absl::Status MakePayload(const std::string& binaries, const std::string& path) {
  const std::string stage = path + ".stage";
  RETURN_IF_ERROR(MakeDirectories(stage + "/bin"));
  for (const char* name : {"flocker-control", "flocker-agent", "flocker-lun", "flocker-fs", "flockerctl"}) {
    const auto stripped = RunChecked(
        {"strip", "-o", absl::StrCat(stage, "/bin/", name), absl::StrCat(binaries, "/", name)}, absl::Minutes(1));
    if (!stripped.ok()) return Annotate(stripped.status(), "is the project built?");
  }
  RETURN_IF_ERROR(RunChecked({"tar", "--create", "--owner=0", "--group=0", "--file", path, "-C", stage, "bin", "-C",
                              FLOCKER_LAB_SOURCE "/guest", "init", "services", "flocker-agent.conf", "-C",
                              FLOCKER_LAB_SOURCE "/../packaging", "flocker-agent.service"},
                             absl::Minutes(1))
                      .status());
  std::error_code error;
  std::filesystem::remove_all(stage, error);
  if (error) return absl::InternalError(absl::StrCat("cannot remove ", stage, ": ", error.message()));
  return absl::OkStatus();
}

}  // namespace flocker::lab
