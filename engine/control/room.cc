#include "engine/control/room.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {

absl::Status Room::Check() const {
  struct statvfs disk {};
  if (statvfs(directory_.c_str(), &disk) != 0) return ErrnoStatus(errno, absl::StrCat("statvfs of ", directory_));
  const uint64_t free = disk.f_bavail * disk.f_frsize;
  if (free >= reserve_) return absl::OkStatus();
  return Refuse(Cause::kNoSpace, absl::StrCat("control's own disk at ", directory_, " has ", free >> 20,
                                              " MiB left and needs ", reserve_ >> 20, " MiB; free space there"));
}

void Room::Wait() const {
  do {
    std::this_thread::sleep_for(std::chrono::seconds(1));
  } while (!Check().ok());
}

}  // namespace flocker
