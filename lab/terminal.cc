#include "lab/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::lab {
namespace {

constexpr char kLeave = 0x1d;  // ^], as in telnet

// The terminal in raw mode, and back as it was.
class RawMode {
 public:
  RawMode() : changed_(tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!changed_) return;
    termios raw = before_;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~RawMode() {
    if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  termios before_{};
  const bool changed_;
};

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return true;
}

absl::StatusOr<unique_fd> ConnectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return absl::InvalidArgumentError(path + " is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  unique_fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot connect to the console ", path));
  }
  return fd;
}

}  // namespace

absl::Status AttachTerminal(const std::string& socket) {
  ASSIGN_OR_RETURN(const unique_fd console, ConnectTo(socket));
  const RawMode raw;
  std::cerr << "connected; ^] leaves\r\n";
  winsize size{};
  std::string first = "\n";
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0) {
    // The console does not know how large this terminal is.
    first = absl::StrFormat(" stty rows %d cols %d\n", size.ws_row, size.ws_col);
  }
  if (!WriteAll(console.get(), first)) return ErrnoStatus(errno, "writing to the console");
  std::array<char, 4096> buffer{};
  std::array<pollfd, 2> ready = {{{STDIN_FILENO, POLLIN, 0}, {console.get(), POLLIN, 0}}};
  while (true) {
    if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (ready[0].revents != 0) {
      const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
      const std::string_view typed(buffer.data(), got > 0 ? static_cast<size_t>(got) : 0);
      const size_t leave = typed.find(kLeave);
      if (!WriteAll(console.get(), typed.substr(0, leave)) || leave != std::string_view::npos || typed.empty()) {
        return absl::OkStatus();
      }
    }
    if (ready[1].revents != 0) {
      const ssize_t got = read(console.get(), buffer.data(), buffer.size());
      if (got <= 0) return absl::OkStatus();
      if (!WriteAll(STDOUT_FILENO, {buffer.data(), static_cast<size_t>(got)})) return ErrnoStatus(errno, "output");
    }
  }
}

}  // namespace flocker::lab
