// The state machine that joins the four: the kernel's requests, the session, the agent, and time.
//
//     awaiting login --Login--> connecting --Probed, mounted--> serving --Lost--> broken --Login--> connecting
//                      ^            |                             ^                 ^                |    |
//                      +-- Lost, ---+                             |                 +----- Lost -----+    |
//                          nothing mounted yet                    +------ Probed, same LUN, re-issue -----+
//
//     any --Fence--> fenced        everything fails with EIO, for good
//     any --Stop---> stopping      unmounted, drained, logged out, exit 0
//     serving --HandOver--> handing over     drained, logged out, exit 0; the mount is the successor's
//     a successor begins: broken, with what its predecessor did not answer (TAKEOVER.md)
//
// Whether data may be issued is MayIssue, and nothing else.
#pragma once

#include <sys/epoll.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/agent_port.h"
#include "engine/lun/arena.h"
#include "engine/lun/file_session.h"
#include "engine/lun/fuse_device.h"
#include "engine/lun/iscsi_session.h"
#include "engine/lun/log_budget.h"
#include "engine/lun/pause_clock.h"
#include "engine/lun/session.h"
#include "engine/lun/transfers.h"
#include "engine/lun/wire.h"

namespace flocker::lun {

struct ServerOptions {
  std::string node;     // shows in ps
  std::string dataset;  // UUID
  uint64_t mount_epoch = 0;
  std::string mountpoint;  // an empty regular file
  std::string socket;      // where the agent connects
  int agent_fd = -1;       // a connection to the agent, inherited
  int fuse_fd = -1;        // both inherited from a predecessor, provably dead, or none
  int arena_fd = -1;
  std::chrono::seconds io_timeout{90};    // how long requests wait for a session
  std::chrono::seconds task_timeout{30};  // how long a login or a command may take
  Transfers::Witness* witness = nullptr;  // outlives the server
};

class Server : private Session::Owner, private Transfers::Owner {
 public:
  static constexpr uint32_t kSlots = 256;  // requests in flight

  // Opens and allocates everything there is to open and allocate before the first login.
  static absl::StatusOr<std::unique_ptr<Server>> Create(const ServerOptions& options);
  ~Server() override = default;

  // Serves until a Stop, or a SIGTERM while the file is not in use. An error: it cannot go on.
  absl::Status Run();

 private:
  Server(const ServerOptions& options, unique_fd epoll, unique_fd signals, FuseDevice fuse, Arena arena,
         AgentPort port);

  // Session::Owner
  void Probed(const Geometry& geometry) override;
  void Answered(uint32_t tag, const Command16& command, const ScsiAnswer& answer) override;
  void Lost(Loss loss, const std::string& reason) override;
  // Transfers::Owner
  void WriteHeld(const Command16& command, const ScsiAnswer& answer) override;
  void LunBusy() override;
  void LunInDoubt(const ScsiAnswer& answer) override;

  // Commands (wire.h)
  void On(const Login& login);
  void On(const ControlAway&);
  void On(const ControlBack&);
  void On(const Fence&);
  void On(const Resize&);
  void On(const Stop& stop);
  void On(const Verdict& verdict);
  void On(const HandOver&);
  void On(const GetStatus&);

  enum Tag : uint64_t { kSignals, kListener, kAgent, kFuse, kSession };
  absl::Status Watch(int fd, Tag tag, uint32_t events);
  void UpdateInterest();
  void OnSignal();
  void OnAgentConnected();
  void OnAgentReadable();
  void OnFuseReadable();
  void Dispatch(uint32_t slot, std::span<std::byte> bytes);
  void Serve(uint32_t slot, const FuseRequest& request, std::span<std::byte> bytes);
  void ReplyMalformed(uint32_t slot, std::span<std::byte> bytes);
  void TakeOver();
  void Greet();
  void OnTime();
  int WaitMilliseconds() const;

  bool MayIssue() const;
  void StartLogin();
  void FirstUp(const Geometry& geometry);
  void Resume(const Geometry& geometry);
  void TellReady();
  bool Refuses() const;
  void AdvanceStop();
  template <class M>
  M Describe() const;
  void Refused(Kind command, int error, const std::string& what);

  const ServerOptions options_;
  unique_fd epoll_;
  unique_fd signals_;
  FuseDevice fuse_;
  Arena arena_;
  AgentPort port_;
  IscsiSession iscsi_;
  FileSession file_;
  Session* session_ = &iscsi_;  // the other one is closed
  Transfers transfers_;

  State state_ = State::kAwaitingLogin;
  bool finished_ = false;
  bool was_mounted_ = false;
  // Requests of a predecessor are not all answered yet. Nothing is received meanwhile: one of them may have been
  // answered without having been marked, and what its issuer sends next must not be overtaken by it.
  bool replaying_ = false;
  Clock::time_point now_ = Clock::now();  // of this turn of the loop
  LogBudget log_;

  uint64_t epoch_ = 0;
  std::optional<Login> grant_;  // until the login is on its way
  Clock::time_point login_at_;
  uint32_t failed_logins_ = 0;       // in a row
  std::optional<SessionLost> loss_;  // the latest, while broken
  std::optional<WriteFailed> held_;  // what the first held write met

  Geometry geometry_;
  bool doubt_ = false;       // serving, but nothing is issued until the LUN has been checked
  bool ready_owed_ = false;  // to the agent: when the kernel has said FUSE_INIT, or the capacity was read again
  PauseClock clock_;
  bool expired_ = false;                       // io_timeout is over: requests fail until there is a session again
  std::optional<Clock::time_point> later_at_;  // when a busy LUN is tried again
  Clock::time_point stop_by_;                  // when stopping or handing over

  bool initialized_ = false;  // FUSE_INIT was answered
  bool fuse_gone_ = false;
  // What epoll knows.
  bool fuse_watched_ = false;
  uint64_t session_watched_ = 0;  // the session's generation
  int session_events_ = 0;
};

}  // namespace flocker::lun
