#include "engine/rest/http_server.h"

#include <fcntl.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/log.h"

namespace flocker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using beast::error_code;

constexpr size_t kReadAhead = 4096;
constexpr std::chrono::seconds kLinger{2};  // for a refused client to stop sending and read why
constexpr std::chrono::milliseconds kAcceptAgain{100};

struct Shared {
  Shared(HttpServer::Handler its_handler, HttpLimits its_limits)
      : handler(std::move(its_handler)), limits(std::move(its_limits)) {}
  const HttpServer::Handler handler;
  const HttpLimits limits;
  // What closes those that have sent no whole request, the first the one that could have for the longest.
  std::map<uint64_t, std::function<void()>> silent;
  uint64_t last_silent = 0;
  std::atomic<size_t> connections = 0;  // one may end with its answer, on another thread

  // False when all of them wait for their answers.
  bool MakeRoom() {
    if (silent.empty()) return false;
    silent.extract(silent.begin()).mapped()();
    return true;
  }
};

// One client. Everything runs on the server's thread; whoever has a step under way holds a reference. `Stream` is a
// tcp_stream, or one of TLS over it, which begins with ShakeHands.
//
//   Await --first byte--> ReadHeader --> (100 Continue) --> ReadBody --> the handler --> Write --> Await
//                             | refused: too large, or no HTTP
//                             v
//                           Write --> Linger --> closed
template <class Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Stream stream, std::shared_ptr<Shared> shared) : stream_(std::move(stream)), shared_(std::move(shared)) {
    ++shared_->connections;
  }
  ~Connection() {
    HasSpoken();
    --shared_->connections;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void ShakeHands() {
    ToBeHeard();
    Expire(shared_->limits.request_time);
    stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this()](error_code error) {
      if (!error) self->Await();  // else the contexts have said why
    });
  }

  void Await() {
    ToBeHeard();
    if (buffer_.size() != 0) return ReadHeader();  // the next request came with the last
    Expire(shared_->limits.idle_time);
    stream_.async_read_some(buffer_.prepare(kReadAhead), Then([](Connection& self, error_code error, size_t n) {
                              if (error) return;
                              self.buffer_.commit(n);
                              self.ReadHeader();
                            }));
  }

 private:
  using Parser = http::request_parser<http::string_body>;

  template <class Step>
  auto Then(Step step) {
    return [self = this->shared_from_this(), step](error_code error, size_t n) { step(*self, error, n); };
  }
  void Expire(absl::Duration after) {
    beast::get_lowest_layer(stream_).expires_after(absl::ToChronoNanoseconds(after));
  }

  void ToBeHeard() {
    HasSpoken();
    silent_ = ++shared_->last_silent;
    shared_->silent[silent_] = [this] { CutOff(); };
  }
  void HasSpoken() {
    if (silent_ != 0) shared_->silent.erase(std::exchange(silent_, 0));
  }

  void ReadHeader() {
    parser_.emplace();
    parser_->body_limit(shared_->limits.body);
    parser_->header_limit(shared_->limits.header);
    Expire(shared_->limits.request_time);
    http::async_read_header(stream_, buffer_, *parser_, Then([](Connection& self, error_code error, size_t) {
                              if (error) return self.Refuse(error);
                              if (beast::iequals(self.parser_->get()[http::field::expect], "100-continue")) {
                                return self.Continue();
                              }
                              self.ReadBody();
                            }));
  }

  void Continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      Then([](Connection& self, error_code error, size_t) {
                        if (!error) self.ReadBody();
                      }));
  }

  void ReadBody() {
    http::async_read(stream_, buffer_, *parser_, Then([](Connection& self, error_code error, size_t) {
                       if (error) return self.Refuse(error);
                       self.Handle();
                     }));
  }

  void Handle() {
    HasSpoken();
    auto message = parser_->release();
    version_ = message.version();
    keep_alive_ = message.keep_alive();
    without_body_ = message.method() == http::verb::head;
    HttpRequest request;
    request.method = std::string(message.method_string());
    const std::string_view target(message.target().data(), message.target().size());
    request.path = std::string(target.substr(0, target.find('?')));
    for (const auto& field : message) {
      request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    request.body = std::move(message.body());
    beast::get_lowest_layer(stream_).expires_never();  // it is ours to be quick now
    shared_->handler(std::move(request), [self = this->shared_from_this()](HttpReply reply) {
      asio::post(self->stream_.get_executor(), [self, reply = std::move(reply)] { self->Write(reply); });
    });
  }

  void Refuse(error_code error) {
    unsigned status = 0;
    if (error == http::error::body_limit) {
      status = 413;
    } else if (error == http::error::header_limit) {
      status = 431;
    } else if (error.category() == make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      status = 400;
    }
    if (status == 0) return;  // it went away, or took too long
    HasSpoken();
    keep_alive_ = false;
    Write(shared_->limits.refusal ? shared_->limits.refusal(status) : JsonReply(status, ""));
  }

  void Write(const HttpReply& reply) {
    body_ = reply.body;
    response_.emplace(http::status(reply.status), version_);
    response_->set(http::field::content_type, "application/json");
    for (const auto& [name, value] : reply.headers) response_->set(name, value);
    response_->keep_alive(keep_alive_);
    response_->content_length(body_->size());
    if (!without_body_) response_->body() = {body_->data(), body_->size()};
    Expire(shared_->limits.answer_time);
    http::async_write(stream_, *response_, Then([](Connection& self, error_code error, size_t) {
                        self.response_.reset();
                        self.body_.reset();
                        if (error) return;
                        if (self.keep_alive_) return self.Await();
                        self.Shut();
                      }));
  }

  // Closing at once would reset the connection under an answer that was not read yet. TLS ends without its own
  // farewell: every answer says how long it is (RFC 9112 §9.8).
  void Shut() {
    error_code ignored;  // it may be gone, which is what is wanted
    beast::get_lowest_layer(stream_).socket().shutdown(tcp::socket::shutdown_send, ignored);
    beast::get_lowest_layer(stream_).expires_after(kLinger);
    Linger();
  }
  void Linger() {
    stream_.async_read_some(asio::buffer(discarded_), Then([](Connection& self, error_code error, size_t) {
                              if (!error) self.Linger();
                            }));
  }
  void CutOff() { beast::get_lowest_layer(stream_).close(); }

  Stream stream_;
  const std::shared_ptr<Shared> shared_;
  uint64_t silent_ = 0;  // its number in Shared::silent, while it is there
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;  // a fresh one for every request
  unsigned version_ = 11;
  bool keep_alive_ = true;
  bool without_body_ = false;
  std::shared_ptr<const std::string> body_;  // what response_ refers to
  std::optional<http::response<http::span_body<const char>>> response_;
  std::array<char, kReadAhead> discarded_;
};

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

// Asio does not: what control starts, or becomes when it starts anew, must have none of it.
void CloseOnExec(int fd) { fcntl(fd, F_SETFD, FD_CLOEXEC); }

class BeastServer final : public HttpServer {
 public:
  BeastServer(Handler handler, HttpLimits limits, std::shared_ptr<TlsContexts> tls)
      : tls_(std::move(tls)), shared_(std::make_shared<Shared>(std::move(handler), std::move(limits))) {}
  ~BeastServer() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    const auto endpoint = Resolve(io_, address);
    if (!endpoint.ok()) return endpoint.status();
    try {
      acceptor_.open(endpoint->protocol());
      CloseOnExec(acceptor_.native_handle());
      acceptor_.set_option(asio::socket_base::reuse_address(true));
      acceptor_.bind(*endpoint);
      acceptor_.listen();
    } catch (const boost::system::system_error& error) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", error.what()));
    }
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  uint16_t port() const override { return acceptor_.local_endpoint().port(); }

 private:
  void Accept() {
    acceptor_.async_accept(io_, [this](error_code error, tcp::socket socket) {
      if (error) return AcceptLater(error);
      CloseOnExec(socket.native_handle());
      if (shared_->connections >= shared_->limits.connections && !shared_->MakeRoom()) return Accept();
      socket.set_option(tcp::no_delay(true), error);  // an answer is one write: without it only slower
      beast::tcp_stream stream(std::move(socket));
      if (tls_ == nullptr) {
        std::make_shared<Connection<beast::tcp_stream>>(std::move(stream), shared_)->Await();
      } else {
        using TlsStream = beast::ssl_stream<beast::tcp_stream>;
        asio::ssl::context context(tls_->Get().release());
        std::make_shared<Connection<TlsStream>>(TlsStream(std::move(stream), context), shared_)->ShakeHands();
      }
      Accept();
    });
  }

  // Without a descriptor for it, a client has to wait until another is gone.
  void AcceptLater(error_code error) {
    spdlog::warn("a REST client could not be let in: {}", error.message());
    shared_->MakeRoom();
    timer_.expires_after(kAcceptAgain);
    timer_.async_wait([this](error_code cancelled) {
      if (!cancelled) Accept();
    });
  }

  const std::shared_ptr<TlsContexts> tls_;  // nothing: anybody is let in
  const std::shared_ptr<Shared> shared_;
  asio::io_context io_;
  tcp::acceptor acceptor_{io_};
  asio::steady_timer timer_{io_};
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

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, Handler handler,
                                                              HttpLimits limits, std::shared_ptr<TlsContexts> tls) {
  auto server = std::make_unique<BeastServer>(std::move(handler), std::move(limits), std::move(tls));
  if (absl::Status status = server->Listen(address); !status.ok()) return status;
  return server;
}

}  // namespace flocker
