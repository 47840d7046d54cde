// Follows the events in a thread of its own, so that whoever waits for something looks when there is news.
#pragma once

#include <functional>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/ctl/client.h"

namespace flocker {

class EventFollower {
 public:
  // From event `from_seq` on. `client` must outlive this.
  EventFollower(ClusterClient& client, uint64_t from_seq);
  ~EventFollower();
  EventFollower(const EventFollower&) = delete;
  EventFollower& operator=(const EventFollower&) = delete;

  // Blocks until `reached` answers true or an error: asked at once, with every event (but not more often than a person
  // can see), after Wake, and five times a second, for what no event tells. kTimeout after `deadline`, by SteadyNow.
  absl::Status Await(const std::function<absl::StatusOr<bool>()>& reached, absl::Time deadline);

  // There is news of another kind. From any thread.
  void Wake();

 private:
  Cancellation cancellation_;
  Mutex mutex_;
  CondVar changed_;
  uint64_t news_ GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace flocker
