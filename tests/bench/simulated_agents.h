// Agents of a whole cluster in one process, over real gRPC: what they are told to do takes them no time. Each has a
// connection of its own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace flocker::bench {

class SimulatedAgent;

class SimulatedAgents {
 public:
  // Node n holds the datasets n * per_node and on (bench_cluster.h). They connect at once.
  SimulatedAgents(const std::string& address, int nodes, int per_node);
  // Ends the streams, and waits for their end.
  ~SimulatedAgents();
  SimulatedAgents(const SimulatedAgents&) = delete;
  SimulatedAgents& operator=(const SimulatedAgents&) = delete;

  // Until each has been told of the whole cluster; DeadlineExceeded.
  absl::Status WaitInformed(absl::Duration timeout);
  // Why a stream ended that nobody ended; OK.
  absl::Status status() const;

 private:
  void Beat();

  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  std::atomic<bool> stopping_ = false;
  std::thread heart_;
};

}  // namespace flocker::bench
