#include "engine/volume/exclusive.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(2);

}  // namespace

absl::Status ProveExclusive(const std::string& device, absl::Duration grace) {
  const absl::Time deadline = SteadyNow() + grace;
  while (true) {
    const unique_fd fd(open(device.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    if (fd) return absl::OkStatus();
    if (errno != EBUSY) return ErrnoStatus(errno, absl::StrCat("cannot open ", device, " to prove that it is free"));
    if (SteadyNow() >= deadline) {
      return Refuse(Cause::kBusy, absl::StrCat("the filesystem on ", device, " is still held by somebody"));
    }
    absl::SleepFor(kPollInterval);
  }
}

}  // namespace flocker
