// One iSCSI session to one LUN, over libiscsi, driven by the caller's event loop.
//
//     closed --Open--> connecting -> logging in -> probing --Probed--> up
//       ^                                                              |
//       +------------------------------ Lost --------------------------+   any failure, from every state
//
// libiscsi's own reconnect is off: it would send the queued commands again without asking anybody whether the LUN is
// still ours. A session that failed is destroyed, and its commands with it; who opens the next one decides what to
// issue again.
#pragma once

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/lun/geometry.h"
#include "engine/lun/pause_clock.h"
#include "engine/lun/probe.h"
#include "engine/lun/sense.h"
#include "engine/lun/wire.h"

namespace flocker::lun {

enum class Verb { kRead, kWrite, kFlush, kUnmap, kWriteSame };

// One SCSI command. Offset and length are bytes, multiples of the block size; `data` is where READ puts and WRITE takes
// them and must stay until the answer, or until the session is closed.
struct Command16 {
  Verb verb = Verb::kFlush;
  uint64_t offset = 0;
  uint64_t length = 0;
  std::byte* data = nullptr;
};

class Session {
 public:
  // Called from inside Service and Flush only; a call may issue commands and call Cut, not Open or Close.
  class Owner {
   public:
    virtual ~Owner() = default;
    // The LUN said what it is: after Open, and after each Check.
    virtual void Probed(const Geometry& geometry) = 0;
    // The answer to an Issue.
    virtual void Answered(uint32_t tag, const Command16& command, const ScsiAnswer& answer) = 0;
    // The session is closed; commands without an answer get none. May call Open.
    virtual void Lost(Loss loss, const std::string& reason) = 0;
  };

  // `max_commands` bounds the commands in flight; all memory for them is allocated here. `task_timeout` is what a login
  // may take, and a command since those issued before it were answered: on a slow link many wait for their turn.
  Session(Owner& owner, uint32_t max_commands, Clock::duration task_timeout);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Starts the login; Probed or Lost follows. Only when closed. The portal must be numeric: a name would be looked up
  // in here, blocking.
  absl::Status Open(const Login& login, Clock::time_point now);
  // Drops the session without a word to the target; no callbacks.
  void Close();
  // Sends a logout; true until it is through, at most until Close. Only when up.
  bool Logout();
  bool logging_out() const { return phase_ == Phase::kLoggingOut; }
  bool open() const { return iscsi_ != nullptr; }
  bool up() const { return phase_ == Phase::kUp; }

  // Asks the LUN again who and how large it is; Probed or Lost follows. Only when up.
  void Check(Clock::time_point now);

  // Issues a command, answered under `tag`. Only when up. False when there is no room for it or libiscsi refuses; then
  // the session is cut.
  bool Issue(uint32_t tag, const Command16& command, uint32_t block_size, Clock::time_point now);

  // Ends the session at the end of the current Service or Flush: Lost follows.
  void Cut(Loss loss, const std::string& reason);

  // For the event loop: the socket (-1 when there is none) and the poll events to wait for; `generation` changes with
  // every Open, when the same number is another socket.
  int fd() const;
  int events() const;
  uint64_t generation() const { return generation_; }
  // To be called with what poll reported.
  void Service(int revents);
  // Sends what was issued, as far as the socket takes it: saves a turn of the event loop.
  void Flush();

  // When something is overdue, and what to do then: cuts the session if it is.
  std::optional<Clock::time_point> deadline() const { return deadline_; }
  void CheckDeadline(Clock::time_point now);

 private:
  enum class Phase { kClosed, kConnecting, kLoggingIn, kProbing, kUp, kLoggingOut };

  struct DestroyContext {
    void operator()(iscsi_context* iscsi) const { iscsi_destroy_context(iscsi); }
  };

  // One command at libiscsi; libiscsi keeps pointers into it until the answer.
  struct InFlight {
    Session* session = nullptr;
    uint32_t tag = 0;
    bool busy = false;
    Command16 command;
    scsi_iovec iov{};
    unmap_list unmap{};
    uint64_t number = 0;  // by order of issue
  };

  static void OnConnected(iscsi_context* iscsi, int status, void* data, void* self);
  static void OnLoggedIn(iscsi_context* iscsi, int status, void* data, void* self);
  static void OnLoggedOut(iscsi_context* iscsi, int status, void* data, void* self);
  static void OnAnswer(iscsi_context* iscsi, int status, void* data, void* in_flight);
  void OnProbed(absl::StatusOr<Geometry> geometry);
  void EndIfCut();

  Owner& owner_;
  const Clock::duration task_timeout_;
  Probe probe_;
  std::vector<InFlight> commands_;
  std::vector<uint32_t> free_;             // indices into commands_
  std::vector<unsigned char> zero_block_;  // what WRITE SAME repeats

  std::unique_ptr<iscsi_context, DestroyContext> iscsi_;
  Phase phase_ = Phase::kClosed;
  bool closing_ = false;
  int lun_ = 0;
  std::string portal_;
  uint64_t generation_ = 0;
  std::optional<Clock::time_point> deadline_;
  Clock::time_point probe_started_;
  uint64_t issued_ = 0;  // commands so far
  uint64_t oldest_ = 0;  // the command that all others wait behind, by number, as last looked
  Clock::time_point oldest_since_;
  struct Ending {
    Loss loss;
    std::string reason;
  };
  std::optional<Ending> cut_;
};

}  // namespace flocker::lun
