#include "engine/http/http_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/http/connection.h"

namespace flocker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using beast::error_code;
using http_internal::Connection;
using http_internal::Shared;
using Local = asio::local::stream_protocol;

constexpr int kBacklog = 128;
constexpr std::chrono::milliseconds kAcceptAgain{100};

absl::StatusOr<tcp::endpoint> Resolve(asio::io_context& io, const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (colon == std::string::npos || host.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("'", address, "' is not host:port"));
  }
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code error;
  const auto found = tcp::resolver(io).resolve(host, address.substr(colon + 1), error);
  if (error || found.empty()) {
    return absl::UnavailableError(absl::StrCat("cannot find ", address, ": ", error.message()));
  }
  return found.begin()->endpoint();
}

// A listening socket at `path` that replaces an older one's name at once: clients never find nothing there.
absl::StatusOr<unique_fd> BindUnix(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(path).parent_path().string(), 0700));
  const std::string fresh = path + ".new";
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (fresh.size() >= sizeof address.sun_path) {
    return Refuse(Cause::kInvalid, absl::StrCat("the path of a socket is too long: ", path));
  }
  fresh.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  unique_fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoStatus(errno, "make a unix socket");
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("remove ", fresh));
  // The mode of what bind makes is the socket's own, less the umask (net/unix/af_unix.c, unix_bind).
  if (fchmod(fd.get(), 0600) != 0 || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), kBacklog) != 0 || std::rename(fresh.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("listen at ", path));
  }
  return fd;
}

// Asio does not: what the program starts, or becomes when it starts anew, must have none of it.
void CloseOnExec(int fd) { fcntl(fd, F_SETFD, FD_CLOEXEC); }

// Lets clients in, one after the other.
template <class Protocol>
class Door {
 public:
  using Acceptor = typename Protocol::acceptor;
  using Socket = typename Protocol::socket;

  Door(asio::io_context& io, std::shared_ptr<Shared> shared, std::shared_ptr<TlsContexts> tls, std::string name)
      : io_(io), shared_(std::move(shared)), tls_(std::move(tls)), name_(std::move(name)) {}
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  Acceptor& acceptor() { return acceptor_; }

  void Open() {
    acceptor_.async_accept(io_, [this](error_code error, Socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return OpenLater(error);
      CloseOnExec(socket.native_handle());
      if (shared_->connections < shared_->limits.connections || shared_->MakeRoom()) LetIn(std::move(socket));
      Open();
    });
  }

 private:
  void LetIn(Socket socket) {
    using Stream = beast::basic_stream<Protocol>;
    if constexpr (std::is_same_v<Protocol, tcp>) {
      error_code only_slower;  // an answer is one write
      socket.set_option(tcp::no_delay(true), only_slower);
      if (tls_ != nullptr) {
        using TlsStream = beast::ssl_stream<Stream>;
        asio::ssl::context context(tls_->Get().release());
        TlsStream stream(Stream(std::move(socket)), context);
        return std::make_shared<Connection<TlsStream>>(std::move(stream), shared_)->ShakeHands();
      }
    }
    std::make_shared<Connection<Stream>>(Stream(std::move(socket)), shared_)->Await();
  }

  // Without a descriptor for it, a client has to wait until another is gone.
  void OpenLater(error_code error) {
    spdlog::warn("a client of {} could not be let in: {}", name_, error.message());
    shared_->MakeRoom();
    timer_.expires_after(kAcceptAgain);
    timer_.async_wait([this](error_code cancelled) {
      if (!cancelled) Open();
    });
  }

  asio::io_context& io_;
  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<TlsContexts> tls_;  // nothing: anybody is let in
  const std::string name_;
  Acceptor acceptor_{io_};
  asio::steady_timer timer_{io_};
};

class BeastServer final : public HttpServer {
 public:
  BeastServer(Handler handler, HttpLimits limits)
      : shared_(std::make_shared<Shared>(std::move(handler), std::move(limits))) {}
  ~BeastServer() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    shared_->waiting.clear();  // before what they stand on
  }

  absl::Status Listen(HttpListener listener) {
    absl::string_view path = listener.address;
    if (!listener.inherited && absl::ConsumePrefix(&path, "unix:")) {
      ASSIGN_OR_RETURN(listener.inherited, BindUnix(std::string(path)));
    }
    return listener.inherited ? ListenUnix(std::move(listener)) : ListenTcp(listener);
  }

  void Run() {
    thread_ = std::thread([this] { io_.run(); });
  }

  uint16_t port() const override { return port_; }

 private:
  absl::Status ListenUnix(HttpListener listener) {
    auto door = std::make_unique<Door<Local>>(io_, shared_, nullptr, listener.address);
    error_code error;
    door->acceptor().assign(Local(), listener.inherited.get(), error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot listen at ", listener.address, ": ", error.message()));
    }
    listener.inherited.release();
    door->Open();
    unix_doors_.push_back(std::move(door));
    return absl::OkStatus();
  }

  absl::Status ListenTcp(const HttpListener& listener) {
    ASSIGN_OR_RETURN(const tcp::endpoint endpoint, Resolve(io_, listener.address));
    auto door = std::make_unique<Door<tcp>>(io_, shared_, listener.tls, listener.address);
    tcp::acceptor& acceptor = door->acceptor();
    try {
      acceptor.open(endpoint.protocol());
      CloseOnExec(acceptor.native_handle());
      acceptor.set_option(asio::socket_base::reuse_address(true));
      acceptor.bind(endpoint);
      acceptor.listen();
      if (port_ == 0) port_ = acceptor.local_endpoint().port();
    } catch (const boost::system::system_error& error) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", listener.address, ": ", error.what()));
    }
    door->Open();
    tcp_doors_.push_back(std::move(door));
    return absl::OkStatus();
  }

  const std::shared_ptr<Shared> shared_;
  asio::io_context io_;
  std::vector<std::unique_ptr<Door<tcp>>> tcp_doors_;
  std::vector<std::unique_ptr<Door<Local>>> unix_doors_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

std::vector<std::string> HttpRequest::Values(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, absl::string_view(name.data(), name.size()))) values.push_back(value);
  }
  return values;
}

HttpReply JsonReply(unsigned status, std::string body) {
  return {.status = status, .body = std::make_shared<const std::string>(std::move(body)), .headers = {}};
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(std::vector<HttpListener> listeners, Handler handler,
                                                              HttpLimits limits) {
  auto server = std::make_unique<BeastServer>(std::move(handler), std::move(limits));
  for (HttpListener& listener : listeners) RETURN_IF_ERROR(server->Listen(std::move(listener)));
  server->Run();
  return server;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, Handler handler,
                                                              HttpLimits limits, std::shared_ptr<TlsContexts> tls) {
  std::vector<HttpListener> one;
  one.push_back({.address = address, .inherited = unique_fd(), .tls = std::move(tls)});
  return Start(std::move(one), std::move(handler), std::move(limits));
}

}  // namespace flocker
