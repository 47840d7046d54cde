// What a monitor asks of a daemon, over HTTP:
//
//   /metrics   Prometheus' text
//   /healthz   200 while the daemon lives
//   /readyz    200 when it can do its work, else 503 with the reasons
//
// The last two answer in JSON, as {"ready": false, "reasons": ["…"]}.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/http/http_server.h"

namespace flocker {

class Monitor {
 public:
  // Why the daemon cannot do its work, each for a person to read; none when it can. Called on the monitor's thread.
  using Readiness = std::function<std::vector<std::string>()>;
  using Collectables = std::vector<std::shared_ptr<prometheus::Collectable>>;

  // Serves at host:port, to anybody. An error when nobody can listen there.
  static absl::StatusOr<std::unique_ptr<Monitor>> Serve(const std::string& address, Collectables collectables,
                                                        Readiness readiness);
  // Nobody is asked any more when it returns.
  ~Monitor() = default;
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  uint16_t port() const { return server_->port(); }

 private:
  Monitor(Collectables collectables, Readiness readiness)
      : collectables_(std::move(collectables)), readiness_(std::move(readiness)) {}
  HttpReply Answer(const HttpRequest& request) const;

  const Collectables collectables_;
  const Readiness readiness_;
  std::unique_ptr<HttpServer> server_;  // last: its thread uses the above
};

}  // namespace flocker
