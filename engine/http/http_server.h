// An HTTP/1.1 server (Boost.Beast) for requests with small bodies: it reads them, bounded in size and time, hands each
// to one handler and writes the answer. What they mean is the handler's. On TCP, with or without TLS, and on unix
// sockets.
//
// A connection costs memory and a descriptor, never a thread; one that has sent no whole request is the first to go
// when there are too many.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/unique_fd.h"
#include "engine/rpc/tls_context.h"

namespace flocker {

struct HttpRequest {
  std::string method;
  std::string path;  // the target up to a '?', as it was sent
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::optional<ucred> peer;  // who connected to a unix socket

  // The values of every header of that name, whatever its case, in their order.
  std::vector<std::string> Values(std::string_view name) const;
};

struct HttpReply {
  unsigned status = 200;
  std::shared_ptr<const std::string> body;  // shared, because many readers may be sent one text
  // One of them may be Content-Type; without it the body is JSON.
  std::vector<std::pair<std::string, std::string>> headers;
};
HttpReply JsonReply(unsigned status, std::string body);

struct HttpLimits {
  uint64_t body = uint64_t{1} << 20;                // bytes; more is answered 413
  uint32_t header = 16 << 10;                       // bytes; more is answered 431
  absl::Duration request_time = absl::Seconds(10);  // from its first byte to its last: a slower client is cut off
  absl::Duration answer_time = absl::Seconds(30);   // to take an answer
  absl::Duration idle_time = absl::Seconds(75);     // between two requests
  size_t connections = 4096;                        // more: the one that has sent no whole request for longest goes
  // A connection is closed behind its answer, and its request is to be there `request_time` after it.
  bool one_request = false;
  std::function<HttpReply(unsigned status)> refusal;  // the answer to what is no request; without: an empty one
};

struct HttpListener {
  // "host:port" (port 0: any free one) or "unix:/path". That comes in the place of whatever socket was there, only its
  // owner may connect, and the directory is made when it is missing.
  std::string address;
  unique_fd inherited;                         // a unix socket that somebody else made and listens on for us, instead
  std::shared_ptr<TlsContexts> tls = nullptr;  // of host:port: who is let in; without, anybody
};

class HttpServer {
 public:
  // Once, on any thread, while the server lives; after that it may still be kept. The client may be gone by then.
  using Answer = std::function<void(HttpReply)>;
  // On the server's thread; must not block.
  using Handler = std::function<void(HttpRequest, Answer)>;

  // Serves when it returns, on a thread of its own. Unavailable when it cannot listen everywhere.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(std::vector<HttpListener> listeners, Handler handler,
                                                           HttpLimits limits = {});
  // On one address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, Handler handler,
                                                           HttpLimits limits = {},
                                                           std::shared_ptr<TlsContexts> tls = nullptr);
  virtual ~HttpServer() = default;    // cuts every connection
  virtual uint16_t port() const = 0;  // of the first listener, on TCP
};

}  // namespace flocker
