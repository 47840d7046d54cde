#include "engine/lun/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"

namespace flocker::lun {
namespace {

constexpr size_t kDescriptors = 2;  // of kHello: /dev/fuse, arena

int PollTimeout(absl::Time deadline) {
  const int64_t left = absl::ToInt64Milliseconds(deadline - SteadyNow() + absl::Microseconds(999));
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3600 * 1000));
}

}  // namespace

absl::StatusOr<LunClient> LunClient::Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Refuse(Cause::kInvalid, absl::StrCat("socket path ", path, " is longer than ", sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  unique_fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return ErrnoStatus(errno, "cannot make a unix socket");
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot connect to flocker-lun at ", path));
  }
  return LunClient(std::move(socket));
}

absl::StatusOr<pid_t> LunClient::Server() const {
  ucred peer{};
  socklen_t size = sizeof peer;
  // unix(7): of the process that called listen(2).
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoStatus(errno, "cannot learn which process flocker-lun is");
  }
  return peer.pid;
}

absl::Status LunClient::SendPacket(const void* data, size_t size) {
  if (send(socket_.get(), data, size, MSG_NOSIGNAL) < 0) return ErrnoStatus(errno, "cannot send to flocker-lun");
  return absl::OkStatus();
}

absl::StatusOr<LunClient::Received> LunClient::Receive(absl::Time deadline) {
  while (true) {
    std::array<std::byte, kMaxMessageSize> packet;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptors * sizeof(int))> control;
    iovec part{packet.data(), packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (got == 0) return absl::UnavailableError("flocker-lun closed the connection");
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      pollfd ready{socket_.get(), POLLIN, 0};
      const int wait = PollTimeout(deadline);
      if (poll(&ready, 1, wait) == 0 && SteadyNow() >= deadline) {
        return absl::DeadlineExceededError("nothing came from flocker-lun in time");
      }
      continue;
    }
    if (got < 0) return ErrnoStatus(errno, "cannot receive from flocker-lun");

    std::array<unique_fd, kDescriptors> descriptors;
    for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
      if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = std::min((at->cmsg_len - CMSG_LEN(0)) / sizeof(int), kDescriptors);
      std::array<int, kDescriptors> numbers{};
      std::memcpy(numbers.data(), CMSG_DATA(at), count * sizeof(int));
      for (size_t i = 0; i < count; ++i) descriptors[i].reset(numbers[i]);
    }
    auto report = ParseReport(std::span(packet).first(static_cast<size_t>(got)));
    if (!report.ok()) return report.status();
    if (std::holds_alternative<Hello>(*report) && (!descriptors[0] || !descriptors[1])) {
      return Refuse(Cause::kInvalid, "kHello came without its descriptors");
    }
    return Received{*std::move(report), std::move(descriptors[0]), std::move(descriptors[1])};
  }
}

}  // namespace flocker::lun
