// What a monitor asks of this node (engine/http/monitor.h).
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/http/monitor.h"
#include "engine/volume/loop.h"

namespace flocker {

// One attachment, as it stands when somebody asks.
struct AttachmentFigures {
  std::string dataset;  // id
  std::string name;
  uint64_t epoch = 0;
  bool mounted = false;
  bool session = false;      // logged in at the array
  std::optional<LoopIo> io;  // once it has a block device
};

struct NodeFigures {
  bool control_reachable = false;
  uint64_t strays = 0;  // found since the agent started
  std::vector<AttachmentFigures> attachments;
};

class NodeMetrics {
 public:
  // Serves at host:port, on a thread of its own, which calls `look` for /metrics and `readiness` for /readyz. An error
  // when nobody can listen there.
  static absl::StatusOr<std::unique_ptr<NodeMetrics>> Serve(const std::string& address,
                                                            std::function<NodeFigures()> look,
                                                            Monitor::Readiness readiness);

  // Nobody looks any more when it returns.
  void StopServing() { monitor_.reset(); }

  // A local step ended: "mount", "detach-loop". From any thread.
  void CountStep(std::string_view step, bool ok, absl::Duration took);

 private:
  explicit NodeMetrics(std::function<NodeFigures()> look);

  const std::shared_ptr<prometheus::Collectable> figures_;
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  prometheus::Family<prometheus::Histogram>& steps_;
  std::unique_ptr<Monitor> monitor_;  // last: its thread uses all of the above
};

}  // namespace flocker
