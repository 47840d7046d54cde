#include "tests/harness/armed_point.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace flocker::testing {

ArmedPoint::ArmedPoint(const std::string& directory, std::string_view point)
    : path_(absl::StrCat(directory, "/", std::string(point))),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path_.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  if (path_.size() >= sizeof address.sun_path ||
      bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.get(), 16) != 0) {
    std::perror(path_.c_str());
    std::abort();
  }
}

ArmedPoint::~ArmedPoint() { LetGo(); }

bool ArmedPoint::WaitReached(absl::Duration timeout) {
  pollfd ready{.fd = listener_.get(), .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) != 1) return false;
  reached_.reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  // Who connected in between is let go as the listener closes.
  unlink(path_.c_str());
  listener_.reset();
  return reached_.valid();
}

void ArmedPoint::LetGo() {
  if (listener_) unlink(path_.c_str());
  listener_.reset();
  reached_.reset();
}

}  // namespace flocker::testing
