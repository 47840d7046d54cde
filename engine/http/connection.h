// One client of an HttpServer, from its connection to its end.
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "engine/http/http_server.h"

namespace flocker::http_internal {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using beast::error_code;

inline constexpr size_t kReadAhead = 4096;
inline constexpr asio::steady_timer::time_point kNever = asio::steady_timer::time_point::max();
inline constexpr std::chrono::seconds kLinger{2};  // for a client to stop sending and read why it was refused

// What the connections of a server share; on its thread alone, but for the count.
struct Shared {
  Shared(HttpServer::Handler its_handler, HttpLimits its_limits)
      : handler(std::move(its_handler)), limits(std::move(its_limits)) {}
  const HttpServer::Handler handler;
  const HttpLimits limits;
  // Those whose answer is the handler's to give: nobody else holds them.
  std::set<std::shared_ptr<void>> waiting;
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
// basic_stream of TCP or of unix sockets, or one of TLS over it, which begins with ShakeHands.
//
//   Await --first byte--> ReadHeader --> (100 Continue) --> ReadBody --> the handler --> Write --> Await
//                             | refused: too large, or no HTTP
//                             v
//                           Write --> (TLS: close_notify) --> Linger --> closed
template <class Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Stream stream, std::shared_ptr<Shared> shared) : shared_(std::move(shared)), stream_(std::move(stream)) {
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
    if (shared_->limits.one_request) {
      Expire(shared_->limits.request_time);
    } else {
      Idle();
    }
    stream_.async_read_some(buffer_.prepare(kReadAhead), Then([](Connection& self, error_code error, size_t n) {
                              const bool idled = error && self.IdledOut();
                              self.idle_.expires_at(kNever);
                              if (error == asio::error::eof || idled) return self.Shut();
                              if (error) return;
                              self.buffer_.commit(n);
                              self.ReadHeader();
                            }));
  }

 private:
  using Parser = http::request_parser<http::string_body>;
  using Socket = std::remove_reference_t<decltype(beast::get_lowest_layer(std::declval<Stream&>()).socket())>;
  using Protocol = typename Socket::protocol_type;
  static constexpr bool kTls = !std::is_same_v<Stream, beast::basic_stream<Protocol>>;

  template <class Step>
  auto Then(Step step) {
    return [self = this->shared_from_this(), step](error_code error, size_t n) { step(*self, error, n); };
  }
  void Expire(absl::Duration after) {
    beast::get_lowest_layer(stream_).expires_after(absl::ToChronoNanoseconds(after));
  }

  // Expire would just close the socket: here there is a farewell to be said, and nobody waits for us.
  void Idle() {
    beast::get_lowest_layer(stream_).expires_never();
    idle_.expires_after(absl::ToChronoNanoseconds(shared_->limits.idle_time));
    idle_.async_wait([waiting = this->weak_from_this()](error_code) {
      const auto self = waiting.lock();
      if (self != nullptr && self->IdledOut()) beast::get_lowest_layer(self->stream_).cancel();
    });
  }
  bool IdledOut() const { return idle_.expiry() <= asio::steady_timer::clock_type::now(); }

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
    if (!shared_->limits.one_request) Expire(shared_->limits.request_time);
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
    keep_alive_ = message.keep_alive() && !shared_->limits.one_request;
    without_body_ = message.method() == http::verb::head;
    HttpRequest request;
    request.method = std::string(message.method_string());
    const std::string_view target(message.target().data(), message.target().size());
    request.path = std::string(target.substr(0, target.find('?')));
    for (const auto& field : message) {
      request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    request.body = std::move(message.body());
    request.peer = Peer();
    beast::get_lowest_layer(stream_).expires_never();  // it is ours to be quick now
    shared_->waiting.insert(this->shared_from_this());
    shared_->handler(std::move(request), [waiting = this->weak_from_this()](HttpReply reply) {
      const auto self = waiting.lock();
      if (self == nullptr) return;
      asio::post(self->stream_.get_executor(), [self, reply = std::move(reply)] {
        self->shared_->waiting.erase(self);
        self->Write(reply);
      });
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

  std::optional<ucred> Peer() {
    if constexpr (!std::is_same_v<Protocol, asio::local::stream_protocol>) return std::nullopt;
    ucred peer{};
    socklen_t size = sizeof peer;
    auto& socket = beast::get_lowest_layer(stream_).socket();
    if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    return peer;
  }

  // TLS ends with our close_notify (RFC 8446 §6.1): who reads to the end knows that nobody cut it short.
  void Shut() {
    HasSpoken();
    beast::get_lowest_layer(stream_).expires_after(kLinger);
    if constexpr (kTls) {
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->ShutSocket(); });
    } else {
      ShutSocket();
    }
  }
  // Closing at once would reset the connection under an answer that was not read yet.
  void ShutSocket() {
    error_code ignored;  // it may be gone, which is what is wanted
    beast::get_lowest_layer(stream_).socket().shutdown(asio::socket_base::shutdown_send, ignored);
    Linger();
  }
  void Linger() {
    beast::get_lowest_layer(stream_).async_read_some(asio::buffer(discarded_),
                                                     Then([](Connection& self, error_code error, size_t) {
                                                       if (!error) self.Linger();
                                                     }));
  }
  void CutOff() { beast::get_lowest_layer(stream_).close(); }

  const std::shared_ptr<Shared> shared_;
  Stream stream_;
  asio::steady_timer idle_{stream_.get_executor(), kNever};
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

}  // namespace flocker::http_internal
