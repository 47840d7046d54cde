#include "tests/harness/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flocker::testing {
namespace {

constexpr size_t kLoginBytes = 4096;  // of a connection, in which a name is looked for

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void Quick(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Reads what there is; false at the end.
bool Take(int fd, std::string& into) {
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      into.append(buffer.data(), static_cast<size_t>(got));
      continue;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
}

// Writes what can be written; false when nobody takes it any more.
bool Give(int fd, std::string& from) {
  while (!from.empty()) {
    const ssize_t sent = send(fd, from.data(), from.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    from.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

TcpProxy::TcpProxy()
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_.get(), 16) != 0 ||
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("a proxy's socket");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

std::string TcpProxy::portal() const { return absl::StrCat("127.0.0.1:", port_); }

void TcpProxy::Forward(int port) {
  const MutexLock lock(mutex_);
  forward_ = port;
}

void TcpProxy::HoldPresent() {
  const MutexLock lock(mutex_);
  for (Connection& connection : connections_) connection.held = true;
}

void TcpProxy::HoldNaming(const std::string& text) {
  const MutexLock lock(mutex_);
  holding_ = text;
  for (Connection& connection : connections_) connection.held = absl::StrContains(connection.seen, text);
}

void TcpProxy::Release() {
  {
    const MutexLock lock(mutex_);
    holding_.clear();
    for (Connection& connection : connections_) connection.held = false;
  }
  Wake();
}

size_t TcpProxy::held_bytes() const {
  const MutexLock lock(mutex_);
  size_t bytes = 0;
  for (const Connection& connection : connections_) bytes += connection.held ? connection.to_server.size() : 0;
  return bytes;
}

size_t TcpProxy::held_connections() const {
  const MutexLock lock(mutex_);
  size_t held = 0;
  for (const Connection& connection : connections_) held += connection.held ? 1 : 0;
  return held;
}

size_t TcpProxy::connections() const {
  const MutexLock lock(mutex_);
  return connections_.size();
}

void TcpProxy::Wake() {
  const uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) < 0) std::perror("a proxy's eventfd");
}

void TcpProxy::Accept() {
  unique_fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client || forward_ == 0) return;
  unique_fd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(forward_);
  // Refused while the server is down: then the client is, too.
  if (connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  Quick(client.get());
  Quick(server.get());
  connections_.push_back({.client = std::move(client), .server = std::move(server)});
}

bool TcpProxy::Pass(Connection& connection) {
  const size_t before = connection.to_server.size();
  if (!connection.client_gone && !Take(connection.client.get(), connection.to_server)) connection.client_gone = true;
  if (connection.seen.size() < kLoginBytes) connection.seen += connection.to_server.substr(before);
  if (!holding_.empty() && absl::StrContains(connection.seen, holding_)) connection.held = true;
  if (!Take(connection.server.get(), connection.to_client)) {
    Give(connection.client.get(), connection.to_client);
    return false;
  }
  // Whether the client is still there to take it shows in what it sends.
  if (!connection.client_gone) Give(connection.client.get(), connection.to_client);
  if (connection.held) return true;
  if (!Give(connection.server.get(), connection.to_server)) return false;
  return !connection.client_gone || !connection.to_server.empty();
}

void TcpProxy::Run() {
  while (true) {
    std::vector<pollfd> wanted = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    {
      const MutexLock lock(mutex_);
      if (stopping_) return;
      std::erase_if(connections_, [this](Connection& connection) REQUIRES(mutex_) { return !Pass(connection); });
      for (const Connection& connection : connections_) {
        const bool give = !connection.held && !connection.to_server.empty();
        if (!connection.client_gone) {
          wanted.push_back(
              {connection.client.get(), static_cast<short>(POLLIN | (connection.to_client.empty() ? 0 : POLLOUT)), 0});
        }
        wanted.push_back({connection.server.get(), static_cast<short>(POLLIN | (give ? POLLOUT : 0)), 0});
      }
    }
    poll(wanted.data(), wanted.size(), -1);
    if (wanted[1].revents != 0) {
      uint64_t count = 0;
      if (read(wake_.get(), &count, sizeof count) < 0) std::perror("a proxy's eventfd");
    }
    if (wanted[0].revents != 0) {
      const MutexLock lock(mutex_);
      Accept();
    }
  }
}

}  // namespace flocker::testing
