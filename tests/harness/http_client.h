// One connection to an HTTP server on loopback, as a client of ours would keep it.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace flocker::testing {

struct HttpAnswer {
  int status = 0;                              // 0: there was none; `body` says why
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // The body, which must be JSON and called so.
  nlohmann::json Json() const;
};

class HttpClient {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Connects when it is first used, and again when the server closed.
  explicit HttpClient(int port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpAnswer Get(const std::string& path) { return Send("GET", path, ""); }
  HttpAnswer Post(const std::string& path, const nlohmann::json& body, const Headers& headers = {}) {
    return Send("POST", path, body.dump(), headers);
  }
  HttpAnswer Delete(const std::string& path, const Headers& headers = {}) { return Send("DELETE", path, "", headers); }
  HttpAnswer Send(const std::string& method, const std::string& path, const std::string& body,
                  const Headers& headers = {});

  // Bytes as they are, without waiting; false when the server is gone.
  bool SendRaw(const std::string& bytes);
  // The answer to what was sent raw.
  HttpAnswer Receive(absl::Duration timeout = absl::Seconds(20));
  // Whether the server closes within that time, without having answered.
  bool ClosedWithin(absl::Duration timeout);
  int port() const { return port_; }

 private:
  struct Socket;
  bool Connect();

  const int port_;
  std::unique_ptr<Socket> socket_;
};

}  // namespace flocker::testing
