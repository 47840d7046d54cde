// flocker-fs, kept running: found again after a restart of the agent, started anew when it died.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"

namespace flocker {

class TreeProcess {
 public:
  struct Config {
    std::vector<std::string> argv;  // of flocker-fs
    std::string mountpoint;
    std::string pid_file;  // <root>/fs.pid: pid and start time of the one that runs
  };
  explicit TreeProcess(Config config);
  // Leaves flocker-fs running: the tree outlives the agent.
  ~TreeProcess();
  TreeProcess(const TreeProcess&) = delete;
  TreeProcess& operator=(const TreeProcess&) = delete;

 private:
  void Run();
  // The process the pid file names, if it is still that one and serves the mountpoint.
  unique_fd FindRunning() const;
  absl::StatusOr<unique_fd> Start() const;

  const Config config_;
  unique_fd stop_;
  std::thread thread_;
};

}  // namespace flocker
