// HTTP on a unix socket, for a peer on this machine: one request a connection, answered now or much later.
//
// Nothing here waits for a peer: all of it runs on the io_context's one thread. A connection is closed behind its
// answer, so that dockerd never sends a request into one that is about to go; it would repeat it with an empty body.
#pragma once

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/unique_fd.h"

namespace flocker::docker {

class HttpServer {
 public:
  struct Limits {
    size_t body = size_t{1} << 20;                        // bytes
    absl::Duration request_timeout = absl::Seconds(10);   // from the connection to the request's last byte
    absl::Duration response_timeout = absl::Seconds(10);  // until the peer has read it
    // With so many, a new connection takes the place of the one that has been without a whole request for the longest;
    // it is refused only when all of them wait for their answers.
    size_t connections = 256;
  };
  struct Request {
    std::string target;  // "/VolumeDriver.Get"
    std::string body;
    ucred peer{};  // who connected
  };
  struct Response {
    unsigned status = 200;
    std::string json;
  };
  // May be called on any thread, once; the peer may be gone by then.
  using Respond = std::function<void(Response)>;
  // Called on the io_context's thread for every POST.
  using Handler = std::function<void(Request, Respond)>;

  HttpServer(boost::asio::io_context& context, const Limits& limits, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens at `path`, in place of whatever socket was there; only the owner may connect (mode 0600). The directory is
  // made when it is missing. Once, before the context runs.
  absl::Status Listen(const std::string& path);
  // The same at a unix socket that somebody else made and listens on for us.
  absl::Status Adopt(unique_fd listening);

 private:
  class Connection;
  // What the connections need, which may outlive the server: the context's own end ends them.
  struct Shared {
    Limits limits;
    Handler handler;
    std::list<Connection*> reading;  // without a whole request, the oldest first
    size_t connections = 0;
  };
  void Accept();
  // Makes room for one more; false when there is none.
  bool MakeRoom();

  const std::shared_ptr<Shared> shared_;
  boost::asio::io_context& context_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer pause_;  // between failures to accept
};

}  // namespace flocker::docker
