// Compares, at the start and from time to time, what is on this machine with what this agent holds, and removes what
// nobody accounts for: the trace of a crash, or of a mistake of ours.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/agent/node_strays.h"
#include "engine/agent/ticker.h"
#include "engine/base/mutex.h"

namespace flocker {

class Reconciler {
 public:
  struct Config {
    std::string root;  // the agent's
    absl::Duration interval = absl::Minutes(1);
    // Every attachment that is accounted for: held, being made, or being cleaned up. It must be there before anything
    // of it is on the machine, and until nothing is.
    std::function<std::set<AttachmentKey>()> held;
  };

  // One stray, once, however long it takes to go.
  struct Finding {
    DatasetId dataset;
    std::string message;
  };

  // Looks at once, on a thread of its own.
  explicit Reconciler(Config config);

  // What was found since the last call.
  std::vector<Finding> TakeFindings();

 private:
  void Look();

  const Config config_;
  std::set<AttachmentKey> known_;  // the strays of the last look; the ticker's own
  Mutex mutex_;
  std::vector<Finding> findings_ GUARDED_BY(mutex_);
  Ticker ticker_;  // last: it uses all of the above
};

}  // namespace flocker
