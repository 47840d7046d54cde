// The mounted tree: /dev/fuse, the mount, the threads that receive.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
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
  // Ends the threads that receive; users of the tree wait from here on. Requests kept elsewhere can and must be
  // answered next.
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
  void Process(const InFlight::Received& received);
  void Process(std::span<std::byte> request);
  void GoOn();

  // A thread that receives a request does by itself what of it may block, which spares the wake-up of another one, but
  // only while another one goes on receiving and nothing waits to be received:
  //
  //     receiving -- read(2), Process: neither blocks --> receiving
  //         |  ^---- back ------------------------.
  //         `------- alone in its task: may block ´  stopped meanwhile: it ends without a look at the session
  // Three: a dataset that is paused keeps one of them. All wait by poll(2), and a request wakes all: to wake only one
  // (EPOLLEXCLUSIVE) took 60 us instead of 17 on an idle machine, where that one slept on the other core.
  static constexpr int kReceivers = 3;
  struct Receivers {
    Mutex mutex;
    CondVar changed;
    int receiving GUARDED_BY(mutex) = 0;
    std::atomic<bool> stopping{false};

    bool Leave() EXCLUDES(mutex);   // false: the others have left already
    bool Return() EXCLUDES(mutex);  // false: stopped
    void End() EXCLUDES(mutex);
  };
  // False when it ended after a task of its own: the session may be gone.
  bool Receive(Receivers& receivers);

  const std::string mountpoint_;
  bool mounted_ = true;
  const std::unique_ptr<fuse_session, Destroy> session_;
  const unique_fd stop_;   // an eventfd, readable once the receivers shall end
  const unique_fd ended_;  // an eventfd
  InFlight& in_flight_;
  SavedState& state_;
  const std::shared_ptr<Receivers> receivers_ = std::make_shared<Receivers>();
};

}  // namespace flocker
