#include "engine/lun/agent_port.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::lun {
namespace {

constexpr int kBacklog = 128;  // agents that were restarted while we were paused

}  // namespace

absl::StatusOr<AgentPort> AgentPort::Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Refuse(Cause::kInvalid, absl::StrCat("socket path ", path, " is longer than ", sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  constexpr int kType = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
  unique_fd listener(socket(AF_UNIX, kType, 0));
  const unique_fd knock(socket(AF_UNIX, kType, 0));
  if (!listener || !knock) return ErrnoStatus(errno, "cannot make a unix socket");
  if (connect(knock.get(), where, sizeof address) == 0 || errno == EAGAIN) {
    return Refuse(Cause::kBusy, absl::StrCat("another flocker-lun listens at ", path));
  }
  if (errno == ECONNREFUSED && unlink(path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot remove the left-over socket ", path));
  }
  const mode_t before = umask(0177);
  const int bound = bind(listener.get(), where, sizeof address);
  const int error = errno;
  umask(before);
  if (bound != 0) return ErrnoStatus(error, absl::StrCat("cannot bind ", path));
  if (listen(listener.get(), kBacklog) != 0) return ErrnoStatus(errno, absl::StrCat("cannot listen at ", path));
  return AgentPort(path, std::move(listener));
}

AgentPort::~AgentPort() {
  if (listener_) unlink(path_.c_str());
}

bool AgentPort::AgentGone() const {
  pollfd connection{agent_.get(), POLLRDHUP, 0};
  return poll(&connection, 1, 0) > 0;
}

bool AgentPort::Accept() {
  unique_fd agent(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!agent) return false;
  if (agent_) spdlog::info("a new agent connection replaces the one before");
  agent_ = std::move(agent);
  return true;
}

absl::StatusOr<std::optional<Command>> AgentPort::Receive() {
  if (!agent_) return std::nullopt;
  std::array<std::byte, kMaxMessageSize> packet;
  const ssize_t got = recv(agent_.get(), packet.data(), packet.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got <= 0) {
    agent_.reset();
    return absl::UnavailableError("the agent closed its connection");
  }
  auto command = ParseCommand(std::span(packet).first(static_cast<size_t>(got)));
  explicit_bzero(packet.data(), packet.size());  // it may have held a secret
  if (!command.ok()) {
    agent_.reset();
    return command.status();
  }
  return std::optional<Command>(*std::move(command));
}

void AgentPort::SendHello(const Hello& hello, int fuse_fd, int arena_fd) {
  const std::array<int, 2> descriptors = {fuse_fd, arena_fd};
  SendPacket(&hello, sizeof hello, descriptors.data(), descriptors.size());
}

void AgentPort::SendPacket(const void* data, size_t size, const int* descriptors, size_t count) {
  if (!agent_) return;
  iovec part{const_cast<void*>(data), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  if (count != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
  }
  if (sendmsg(agent_.get(), &message, MSG_NOSIGNAL) >= 0) return;
  spdlog::warn("cannot send to the agent ({}): disconnecting it", std::strerror(errno));
  agent_.reset();
}

}  // namespace flocker::lun
