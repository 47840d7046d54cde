#include "engine/volume/maps_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

#include "engine/base/clock.h"

namespace flocker {
namespace {

constexpr size_t kPacket = size_t{64} << 10;
constexpr int kChildSocket = 3;

// The file in packets. In the child, where only system calls may be made: other threads' locks stay taken.
bool SendFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  std::array<char, kPacket> packet;
  size_t filled = 0;
  ssize_t got = 0;
  while (fd >= 0 && (got = read(fd, packet.data() + filled, packet.size() - filled)) > 0) {
    filled += static_cast<size_t>(got);
    if (filled < packet.size()) continue;
    if (send(kChildSocket, packet.data(), filled, MSG_NOSIGNAL) < 0) return false;
    filled = 0;
  }
  if (fd >= 0) close(fd);
  if (filled > 0 && send(kChildSocket, packet.data(), filled, MSG_NOSIGNAL) < 0) return false;
  return send(kChildSocket, packet.data(), 0, MSG_NOSIGNAL) == 0;
}

[[noreturn]] void ReadForParent() {
  std::array<char, PATH_MAX> path;
  while (true) {
    const ssize_t size = recv(kChildSocket, path.data(), path.size() - 1, 0);
    if (size <= 0) _exit(0);
    path.at(static_cast<size_t>(size)) = '\0';
    if (!SendFile(path.data())) _exit(0);
  }
}

}  // namespace

MapsReader::~MapsReader() { End(); }

bool MapsReader::Begin() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  socket_.reset(ends[0]);
  const unique_fd theirs(ends[1]);
  const pid_t parent = getpid();
  child_ = fork();
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(theirs.get(), kChildSocket) < 0) _exit(0);
    close_range(kChildSocket + 1, UINT_MAX, 0);
    ReadForParent();
  }
  return child_ > 0;
}

void MapsReader::End() {
  socket_.reset();
  if (child_ <= 0) return;
  kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
}

std::optional<std::string> MapsReader::Read(const std::string& path) {
  if (child_ <= 0 && !Begin()) return std::nullopt;
  if (send(socket_.get(), path.data(), path.size(), MSG_NOSIGNAL) < 0) {
    End();
    return std::nullopt;
  }
  const absl::Time deadline = SteadyNow() + patience_;
  std::string content;
  std::array<char, kPacket> packet;
  while (true) {
    pollfd ready{socket_.get(), POLLIN, 0};
    const int64_t left = std::max<int64_t>(absl::ToInt64Milliseconds(deadline - SteadyNow()), 0);
    const int polled = poll(&ready, 1, static_cast<int>(left));
    if (polled < 0 && errno == EINTR) continue;
    const ssize_t got = polled > 0 ? recv(socket_.get(), packet.data(), packet.size(), 0) : -1;
    if (got < 0) {
      End();
      return std::nullopt;
    }
    if (got == 0) return content;
    content.append(packet.data(), static_cast<size_t>(got));
  }
}

}  // namespace flocker
