// The mounted tree: /dev/fuse, the mount, the threads that receive.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
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
  // Mounts `device`, a /dev/fuse, at `mountpoint` (see MountFuse). Requests wait until Start.
  // `owner` is the Filesystem and gets every request.
  static absl::StatusOr<std::unique_ptr<Session>> Mount(unique_fd device, const std::string& mountpoint,
                                                        const fuse_lowlevel_ops& ops, SessionOwner& owner,
                                                        SavedState& state);
  // Goes on with a dead predecessor's mount, whose FUSE_INIT is in `state` (TAKEOVER.md). FailedPrecondition when
  // that mount is gone.
  static absl::StatusOr<std::unique_ptr<Session>> TakeOver(unique_fd device, const std::string& mountpoint,
                                                           const fuse_lowlevel_ops& ops, SessionOwner& owner,
                                                           SavedState& state);
  struct MadeHere {};
  struct Destroy {
    void operator()(fuse_session* session) const { fuse_session_destroy(session); }
  };
  Session(MadeHere, std::string mountpoint, std::unique_ptr<fuse_session, Destroy> session, unique_fd stop,
          unique_fd ended, SessionOwner& owner, SavedState& state);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // What a predecessor left unanswered comes first.
  void Start();
  // Readable when the tree was unmounted by somebody else.
  int ended_fd() const { return ended_.get(); }
  // Ends the threads; users of the tree wait from here on. Requests kept elsewhere can and must be answered next.
  void Stop();
  // Unmounts, also from under its users: they get errors. After Stop.
  void Unmount();
  // Leaves the mount as it is, to a successor.
  void Leave() { mounted_ = false; }

 private:
  static absl::StatusOr<std::unique_ptr<Session>> Make(unique_fd device, const std::string& mountpoint,
                                                       const fuse_lowlevel_ops& ops, SessionOwner& owner,
                                                       SavedState& state);
  int device() const { return fuse_session_fd(session_.get()); }
  void Receive();
  void Process(const InFlight::Received& received);
  void Process(std::span<std::byte> request);
  void GoOn();

  // Two: while one is in a request, the other one receives; none of them ever blocks in one.
  static constexpr int kReceivers = 2;

  const std::string mountpoint_;
  bool mounted_ = true;
  const std::unique_ptr<fuse_session, Destroy> session_;
  const unique_fd stop_;   // an eventfd, readable once the receivers shall end
  const unique_fd ended_;  // an eventfd
  InFlight& in_flight_;
  SavedState& state_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> receivers_;
};

}  // namespace flocker
