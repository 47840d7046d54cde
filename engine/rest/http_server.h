// An HTTP/1.1 server (Boost.Beast) for requests with small bodies: it reads them, bounded in size and time, hands each
// to one handler and writes the answer. What they mean is the handler's.
//
// A connection costs memory and a descriptor, never a thread; one that has sent no whole request is the first to go
// when there are too many.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/rpc/tls_context.h"

namespace flocker {

struct HttpRequest {
  std::string method;
  std::string path;  // the target up to a '?', as it was sent
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // The values of every header of that name, whatever its case, in their order.
  std::vector<std::string> Values(std::string_view name) const;
};

struct HttpReply {
  unsigned status = 200;
  std::shared_ptr<const std::string> body;  // JSON; shared, because many readers may be sent one text
  std::vector<std::pair<std::string, std::string>> headers;
};
HttpReply JsonReply(unsigned status, std::string body);

struct HttpLimits {
  uint64_t body = uint64_t{1} << 20;                  // bytes; more is answered 413
  uint32_t header = 16 << 10;                         // bytes; more is answered 431
  absl::Duration request_time = absl::Seconds(10);    // from its first byte to its last: a slower client is cut off
  absl::Duration answer_time = absl::Seconds(30);     // to take an answer
  absl::Duration idle_time = absl::Seconds(75);       // between two requests
  size_t connections = 4096;                          // more: the one that has sent no whole request for longest goes
  std::function<HttpReply(unsigned status)> refusal;  // the answer to what is no request; without: an empty one
};

class HttpServer {
 public:
  using Answer = std::function<void(HttpReply)>;
  // On the server's thread; must not block. `answer` is to be called once, on any thread, while the server lives.
  using Handler = std::function<void(HttpRequest, Answer)>;

  // Listens on "host:port" (port 0: any free one), to those whom `tls` lets in; without, to anybody. Unavailable when
  // it cannot.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, Handler handler,
                                                           HttpLimits limits = {},
                                                           std::shared_ptr<TlsContexts> tls = nullptr);
  virtual ~HttpServer() = default;  // cuts every connection
  virtual uint16_t port() const = 0;
};

}  // namespace flocker
