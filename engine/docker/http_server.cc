#include "engine/docker/http_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/dispatch.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::docker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;
using ErrorCode = boost::system::error_code;

constexpr int kBacklog = 128;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr uint32_t kMaxHeader = 8192;

// A listening socket at `path` that replaces an older one's name at once: dockerd never finds nothing there.
absl::StatusOr<unique_fd> Bind(const std::string& path) {
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

std::chrono::nanoseconds Chrono(absl::Duration duration) { return absl::ToChronoNanoseconds(duration); }

}  // namespace

class HttpServer::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Shared> shared, Local::socket socket)
      : shared_(std::move(shared)), stream_(std::move(socket)) {
    ++shared_->connections;
    place_ = shared_->reading.insert(shared_->reading.end(), this);
  }
  ~Connection() {
    StopReading();
    --shared_->connections;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read() {
    parser_.body_limit(shared_->limits.body);
    parser_.header_limit(kMaxHeader);
    stream_.expires_after(Chrono(shared_->limits.request_timeout));
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](const ErrorCode& error, size_t) { self->OnRead(error); });
  }

  void GiveUp() {
    StopReading();
    stream_.close();
  }

 private:
  void OnRead(const ErrorCode& error) {
    StopReading();
    if (error == http::error::body_limit) {
      return Write(
          {413, absl::StrCat(R"({"Err":"the request's body has more than )", shared_->limits.body, R"( bytes"})")});
    }
    if (error.category() == http::make_error_code(http::error::end_of_stream).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message) {
      return Write({400, absl::StrCat(R"({"Err":"this is no HTTP request: )", error.message(), R"("})")});
    }
    if (error) return;  // it is gone, or was too slow
    if (parser_.get().method() != http::verb::post) return Write({405, R"({"Err":"every call is a POST"})"});
    Request request;
    request.target = std::string(parser_.get().target());
    request.body = std::move(parser_.get().body());
    socklen_t size = sizeof request.peer;
    getsockopt(stream_.socket().native_handle(), SOL_SOCKET, SO_PEERCRED, &request.peer, &size);
    stream_.expires_never();
    shared_->handler(std::move(request), [self = shared_from_this()](Response response) {
      asio::dispatch(self->stream_.get_executor(),
                     [self, response = std::move(response)]() mutable { self->Write(std::move(response)); });
    });
  }

  void Write(Response response) {
    response_.emplace(static_cast<http::status>(response.status), 11);
    response_->set(http::field::content_type, "application/vnd.docker.plugins.v1.2+json");
    response_->keep_alive(false);
    response_->body() = std::move(response.json);
    response_->prepare_payload();
    stream_.expires_after(Chrono(shared_->limits.response_timeout));
    http::async_write(stream_, *response_, [self = shared_from_this()](const ErrorCode& error, size_t) {
      if (error) spdlog::info("an answer to dockerd was not taken: {}", error.message());
      self->stream_.socket().shutdown(Local::socket::shutdown_both, self->ignored_);
    });
  }

  void StopReading() {
    if (place_) shared_->reading.erase(*std::exchange(place_, std::nullopt));
  }

  const std::shared_ptr<Shared> shared_;
  beast::basic_stream<Local> stream_;
  beast::flat_buffer buffer_;
  http::request_parser<http::string_body> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<std::list<Connection*>::iterator> place_;  // in Shared::reading
  ErrorCode ignored_;                                      // of closing what may be closed already
};

HttpServer::HttpServer(asio::io_context& context, const Limits& limits, Handler handler)
    : shared_(std::make_shared<Shared>(Shared{limits, std::move(handler), {}, 0})),
      context_(context),
      acceptor_(context),
      pause_(context) {}

HttpServer::~HttpServer() = default;

absl::Status HttpServer::Listen(const std::string& path) {
  ASSIGN_OR_RETURN(unique_fd fd, Bind(path));
  return Annotate(Adopt(std::move(fd)), path);
}

absl::Status HttpServer::Adopt(unique_fd listening) {
  ErrorCode error;
  acceptor_.assign(Local(), listening.get(), error);
  if (error) return absl::InternalError(absl::StrCat("cannot take connections: ", error.message()));
  listening.release();
  Accept();
  return absl::OkStatus();
}

bool HttpServer::MakeRoom() {
  if (shared_->connections < shared_->limits.connections) return true;
  if (shared_->reading.empty()) return false;
  shared_->reading.front()->GiveUp();
  return true;
}

void HttpServer::Accept() {
  acceptor_.async_accept(context_, [this](const ErrorCode& error, Local::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {
      spdlog::error("the volume plugin cannot take a connection: {}", error.message());
      pause_.expires_after(kAcceptPause);
      return pause_.async_wait([this](const ErrorCode& stopped) {
        if (!stopped) Accept();
      });
    }
    // A peer that finds its connection closed tries again; dockerd does.
    if (MakeRoom()) std::make_shared<Connection>(shared_, std::move(socket))->Read();
    Accept();
  });
}

}  // namespace flocker::docker
