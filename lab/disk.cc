#include "lab/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "lab/json_socket.h"

namespace flocker::lab {

absl::Status Disk::PowerOn() {
  const std::string image = dir_ + "/data.img";
  const unique_fd file(open(image.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file || ftruncate(file.get(), static_cast<off_t>(bytes_)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot make the disk ", image));
  }
  unlink(socket().c_str());
  // TMPDIR: where the filter keeps its cache, an unlinked file.
  RETURN_IF_ERROR(server_.Start({"env", absl::StrCat("TMPDIR=", dir_), "nbdkit", "--foreground", "--unix", socket(),
                                 "--filter=cache", "file", image, "cache=writeback"},
                                dir_ + "/disk.log"));
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  JsonSocket probe;
  while (!probe.Connect(socket()).ok()) {
    if (!server_.running() || absl::Now() > deadline) {
      return absl::UnavailableError(absl::StrCat("nbdkit does not serve ", image, ": see ", dir_, "/disk.log"));
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

void Disk::PowerOff() { server_.Kill(); }

}  // namespace flocker::lab
