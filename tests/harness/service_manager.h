// What a service manager does for an agent's descriptors: takes them over its notification socket, gives them up when
// told to, and starts the next agent with what it has (sd_notify(3) FDSTORE=1, sd_listen_fds(3)). No systemd runs where
// tests do; the agent's side is the real one, libsystemd's.
#pragma once

#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {

class ServiceManager {
 public:
  // Listens at `socket` from now on.
  explicit ServiceManager(std::string socket);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Has the child started as its service, with all descriptors in the store from number 3 on. They must not change
  // until it is started.
  void Prepare(ChildOptions& options);
  // The names in the store, in their order.
  std::vector<std::string> Names() const;
  // Whether the service has ever told that, as "READY=1".
  bool Heard(const std::string& state) const;
  // Puts one there as if an earlier agent had.
  void Store(const std::string& name, unique_fd fd);

 private:
  void Run();
  bool ReceiveOne();

  const std::string socket_path_;
  unique_fd socket_;
  unique_fd stop_;
  mutable Mutex mutex_;
  std::map<std::string, unique_fd> store_ GUARDED_BY(mutex_);
  std::set<std::string> heard_ GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace flocker::testing
