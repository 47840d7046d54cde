// The mounted tree: /dev/fuse, the mount, the threads that receive.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "fusefs/interrupt.h"
#include "fusefs/request.h"

namespace flocker {

class Session {
 public:
  // Mounts at `mountpoint` (see MountFuse). Requests wait until Start.
  // `listener` is the Filesystem and gets every request.
  static absl::StatusOr<std::unique_ptr<Session>> Mount(const std::string& mountpoint, const fuse_lowlevel_ops& ops,
                                                        InterruptListener& listener);
  struct MountOnly {};
  struct Destroy {
    void operator()(fuse_session* session) const { fuse_session_destroy(session); }
  };
  Session(MountOnly, std::string mountpoint, std::unique_ptr<fuse_session, Destroy> session, unique_fd stop,
          unique_fd ended);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Start();
  // Readable when the tree was unmounted by somebody else.
  int ended_fd() const { return ended_.get(); }
  // Ends the threads; users of the tree wait from here on. Requests kept elsewhere can and must be answered next.
  void Stop();
  // Unmounts, also from under its users: they get errors. After Stop.
  void Unmount();

 private:
  void Receive();

  // Two: while one is in a request, the other one receives; none of them ever blocks in one.
  static constexpr int kReceivers = 2;

  const std::string mountpoint_;
  bool mounted_ = true;
  const std::unique_ptr<fuse_session, Destroy> session_;
  const unique_fd stop_;   // an eventfd, readable once the receivers shall end
  const unique_fd ended_;  // an eventfd
  std::vector<std::thread> receivers_;
};

}  // namespace flocker
