// A TCP proxy that can hold back what clients send: bytes that wait in a network, or in a machine that stands still.
#pragma once

#include <deque>
#include <string>
#include <thread>

#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {

class TcpProxy {
 public:
  // Listens on a free port of loopback. Connections are passed on to 127.0.0.1:`port` once Forward was called.
  TcpProxy();
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  void Forward(int port);
  std::string portal() const;  // 127.0.0.1:<port>

  // From now on nothing more reaches the server on the connections there are just now: it is taken from the client and
  // kept, also when the client is gone. What the server sends still passes.
  void HoldPresent();
  // The same for present and future connections on whose way to the server `text` was seen, such as a target's name in
  // a login.
  void HoldNaming(const std::string& text);
  // Everything that is held goes on its way.
  void Release();

  // What is held just now, bytes, and on how many connections.
  size_t held_bytes() const;
  size_t held_connections() const;
  size_t connections() const;

 private:
  struct Connection {
    unique_fd client;
    unique_fd server;
    std::string to_server;
    std::string to_client;
    std::string seen;  // the first bytes from the client
    bool held = false;
    bool client_gone = false;
  };
  void Run();
  void Accept() REQUIRES(mutex_);
  // False when the connection is over.
  bool Pass(Connection& connection) REQUIRES(mutex_);
  void Wake();

  unique_fd listener_;
  unique_fd wake_;
  int port_ = 0;
  mutable Mutex mutex_;
  int forward_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::string holding_ GUARDED_BY(mutex_);  // text of HoldNaming
  std::deque<Connection> connections_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flocker::testing
