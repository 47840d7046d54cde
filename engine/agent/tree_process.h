// flocker-fs, kept running: found again after a restart of the agent, followed by a successor when it died.
//
//     running --process ended--> the mount stands: a successor goes on with it (fusefs/TAKEOVER.md)
//                    |               |
//                    |               +-- ended without a hello, or killed because none came within kHelloTimeoutMs:
//                    |                   again, after a pause; given up after kMaxFailures
//                    +-- the mount is gone, or given up: cleared away, and a new one
//
// The agent opens /dev/fuse and the memory that a successor needs, and keeps both; flocker-fs inherits them. After a
// restart the agent takes them out of the running flocker-fs (pidfd_getfd(2)), or out of the service manager's store.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/agent/descriptor_store.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"

namespace flocker {

class TreeProcess {
 public:
  struct Config {
    std::string binary;                  // flocker-fs
    std::vector<std::string> arguments;  // but for the descriptors
    std::string mountpoint;
    DescriptorStore* store = nullptr;
  };
  // `kept`: what the store had of the tree.
  TreeProcess(Config config, KeptDescriptors kept);
  // Leaves flocker-fs running: the tree outlives the agent.
  ~TreeProcess();
  TreeProcess(const TreeProcess&) = delete;
  TreeProcess& operator=(const TreeProcess&) = delete;

  // That process has said hello: its mount stands, and serves.
  void OnServing(pid_t pid) EXCLUDES(mutex_);

 private:
  struct Process {
    pid_t pid = 0;
    unique_fd pidfd;
    bool started_here = false;  // by this agent, which so holds its descriptors
  };
  void Run(Process running) EXCLUDES(mutex_);
  // The flocker-fs that an earlier agent started for this mountpoint.
  Process FindRunning() const;
  // Copies of the descriptors of one that an earlier agent started.
  void TakeCopies(const Process& process) EXCLUDES(mutex_);
  absl::StatusOr<Process> Start() EXCLUDES(mutex_);
  // Is there a mount that a successor can go on with?
  bool MountStands() const REQUIRES(mutex_);
  // Lets go of the mount, and prepares for a new one.
  absl::Status Renew() REQUIRES(mutex_);
  // To the program that is installed now, unless that could not go on with the mount.
  void HandOverIfOutdated(const Process& process) const REQUIRES(mutex_);
  // Waits for the end of the process, and brings it about when that never says hello. False when told to stop.
  bool WaitForEnd(const Process& process) EXCLUDES(mutex_);
  // Waits at most `milliseconds` (-1: for ever) for the end of the process, if there is one. False when told to stop.
  bool Wait(const Process& process, int milliseconds) const;

  const Config config_;
  unique_fd stop_;
  Mutex mutex_;
  KeptDescriptors kept_ GUARDED_BY(mutex_);
  pid_t running_ GUARDED_BY(mutex_) = 0;
  bool served_ GUARDED_BY(mutex_) = false;  // the one that runs has said hello
  std::thread thread_;
};

}  // namespace flocker
