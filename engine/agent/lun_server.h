// A LUN's server as the agent sees it: a flocker-lun process, started or found again, spoken to over its socket,
// watched through its pidfd; and when that dies or hands over, its successor. The agent keeps the descriptors of the
// FUSE session and of the arena, so what users see is a pause (engine/lun/TAKEOVER.md).
//
//     running --process ended--> a successor is started --its hello--> running, session lost, as after any break
//                    |                    |
//                    |                    +-- ended without a hello: again once a second, given up after kGiveUp
//                    +-- it was told to stop, was fenced, or has nothing to take over: over
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/agent/descriptor_store.h"
#include "engine/agent/order.h"
#include "engine/agent/watcher.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/client.h"
#include "engine/model/attachment.h"

namespace flocker {

// Where the things of one attachment lie.
struct LunPaths {
  std::string binary;  // of flocker-lun
  std::string node;    // its node's name
  std::string socket;  // <root>/lun/<uuid>.<mount epoch>.sock
  std::string file;    // <root>/lun/<uuid>.<mount epoch>: the LUN's bytes, once it is mounted
  DatasetId dataset;
  uint64_t mount_epoch = 0;
};

class LunServer {
 public:
  // Called on the watcher's thread; they must not block nor destroy the LunServer.
  struct Events {
    std::function<void(uint64_t epoch, const std::string& reason)> session_lost;
    std::function<void(uint64_t epoch)> resumed;  // also after the first login
    std::function<void(const std::string& kind, const std::string& message)> notice;
    std::function<void()> died;  // without a successor
  };

  // Starts a process; blocks until it says hello, at most some seconds. Once its file is there, `store` keeps what a
  // successor needs; that it lets go in the end is the caller's to see to.
  static absl::StatusOr<std::unique_ptr<LunServer>> Start(const LunPaths& paths, Watcher& watcher,
                                                          DescriptorStore& store, Events events);
  // Connects to one that an earlier agent started; blocks until it says hello, or a second: one that serves a file and
  // is paused is taken on all the same, and its hello comes when it can. NotFound or Unavailable when there is none.
  static absl::StatusOr<std::unique_ptr<LunServer>> Find(const LunPaths& paths, Watcher& watcher,
                                                         DescriptorStore& store, Events events);
  // Starts the successor of one that an earlier agent started, and that ended with it or after it; blocks as Start
  // does. It refuses to begin while that one still listens.
  static absl::StatusOr<std::unique_ptr<LunServer>> Revive(const LunPaths& paths, Watcher& watcher,
                                                           DescriptorStore& store, KeptDescriptors lent, Events events);
  // For a successor of one that was found paused, until its hello brings the same.
  void Lend(KeptDescriptors lent);
  // Lets go of it; the process goes on.
  ~LunServer();
  LunServer(const LunServer&) = delete;
  LunServer& operator=(const LunServer&) = delete;

  // Hands over a grant: at once when it has no session, else as soon as it notices that its session is cut.
  void Login(const AttachOrder& order);
  // Waits until the file is there; an error when the login failed (session_lost was called) or the time is over.
  absl::Status WaitReady(uint64_t epoch, absl::Duration timeout);
  // Asks it to unmount the file, log out and end, and waits for that. kBusy when the file is in use. One that dies on
  // the way gets no successor: whatever the file was for is over.
  absl::Status Stop(absl::Duration timeout);
  // Every I/O fails from now on, also when the process is dead and its successor not there yet; never waits.
  // Its end is nothing to tell any more.
  void Fence();
  // SIGKILL, waits for the end, and removes the names.
  void Kill();
  // io_timeout stands still while control is away.
  void SetControlReachable(bool reachable);
  // Writes that wait because the pool may be full: try again.
  void RetryWrites();
  // When the process runs another file than paths.binary is now: it finishes what is under way and leaves the rest to a
  // successor. To be called when control can be reached, for the successor needs a renewal.
  void UpgradeIfOutdated();
  // Once a second: a successor that could not be started is tried again.
  void OnTick();

  bool file_ready() const;  // it was logged in once: the LUN's bytes are at paths.file
  uint32_t block_size() const;
  uint64_t size() const;                       // bytes, as of the last login; 0: not known
  uint64_t session_epoch() const;              // 0 while it is not logged in
  std::optional<uint64_t> lost_epoch() const;  // of the session that broke and was not renewed
  bool alive() const;

 private:
  LunServer(LunPaths paths, Watcher& watcher, DescriptorStore& store, Events events);
  absl::Status Connect();
  absl::Status SpawnAndWait();
  // SIGKILL, and waits for the end. The names stay: another's server may listen there.
  void End();
  void RemoveNames() const;
  // Starts flocker-lun, with the descriptors to take over if there are any, and watches it.
  absl::Status Spawn() REQUIRES(mutex_);
  void Watch() REQUIRES(mutex_);
  absl::Status WaitHello() EXCLUDES(mutex_);
  void OnEnded();
  bool CanTakeOver() const REQUIRES(mutex_);
  void TrySuccessor() REQUIRES(mutex_);
  // Whatever waits for the file, or will, fails: there is no process to do it.
  void CutOff();
  // OK when the process has ended; else what it answered to kStop.
  absl::Status WaitStopped(absl::Time deadline);
  void OnReadable();
  void Handle(const lun::Report& report) EXCLUDES(mutex_);
  void HandleHello(const lun::Hello& hello) REQUIRES(mutex_);
  void LendArena(unique_fd arena) REQUIRES(mutex_);
  void FileIsReady() REQUIRES(mutex_);
  void SendLogin() REQUIRES(mutex_);
  template <class M>
  void Send(const M& message) EXCLUDES(mutex_);

  const LunPaths paths_;
  Watcher& watcher_;
  DescriptorStore& store_;
  const Events events_;
  mutable Mutex mutex_;
  CondVar changed_;
  struct Process {
    pid_t pid = 0;
    unique_fd pidfd;
    std::optional<std::chrono::steady_clock::time_point> started;  // none: by an earlier agent
  };
  std::shared_ptr<const Process> process_ GUARDED_BY(mutex_);
  std::optional<lun::LunClient> client_ GUARDED_BY(mutex_);
  unique_fd fuse_ GUARDED_BY(mutex_);
  unique_fd arena_ GUARDED_BY(mutex_);
  std::optional<AttachOrder> pending_ GUARDED_BY(mutex_);  // the latest grant
  bool accepts_login_ GUARDED_BY(mutex_) = false;
  bool file_ready_ GUARDED_BY(mutex_) = false;
  bool hello_ GUARDED_BY(mutex_) = false;    // of the present process
  bool greeted_ GUARDED_BY(mutex_) = false;  // by any: before that it is Start, or Revive, that fails
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool fenced_ GUARDED_BY(mutex_) = false;
  bool alive_ GUARDED_BY(mutex_) = true;           // there is a process, or will be one
  bool successor_due_ GUARDED_BY(mutex_) = false;  // there is none, and it is to be started
  std::optional<std::chrono::steady_clock::time_point> down_since_ GUARDED_BY(mutex_);  // no hello since then
  // One that is started follows an order of control's; one that is found, a start of the agent, which has yet to
  // connect.
  bool control_reachable_ GUARDED_BY(mutex_) = true;
  uint64_t session_epoch_ GUARDED_BY(mutex_) = 0;
  std::optional<uint64_t> lost_epoch_ GUARDED_BY(mutex_);
  uint32_t block_size_ GUARDED_BY(mutex_) = 0;
  uint64_t size_ GUARDED_BY(mutex_) = 0;
  absl::Status refusal_ GUARDED_BY(mutex_);  // the last command's
};

}  // namespace flocker
