#include "engine/base/fault.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "engine/base/log.h"
#include "engine/base/unique_fd.h"

namespace flocker {

void ReachFaultPoint(ListedFaultPoint point) { ReachFaultPoint(point.name(), ""); }

void ReachFaultPoint(std::string_view family, std::string_view step) {
  static const char* const directory = std::getenv("FLOCKER_FAULT_DIR");
  if (directory == nullptr) return;
  std::string path(directory);
  path.append("/").append(family).append(step);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) {
    spdlog::critical("{} is too long for a socket's path: give a shorter FLOCKER_FAULT_DIR", path);
    std::abort();
  }
  path.copy(static_cast<char*>(address.sun_path), path.size());
  const unique_fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Nobody there: the point is not armed.
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  spdlog::warn("fault point {}{} reached: waits to be let go or killed", family, step);
  char go = 0;
  while (read(fd.get(), &go, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace flocker
