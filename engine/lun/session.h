// A session to one LUN, driven by the caller's event loop. Two kinds: `iscsi_session`, over libiscsi, and
// `file_session`, to a file of this machine.
//
//     closed --Open--> connecting -> logging in -> probing --Probed--> up
//       ^                                                              |
//       +------------------------------ Lost --------------------------+   any failure, from every state
//
// A session that failed is destroyed, and its commands with it; who opens the next one decides what to issue again.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/lun/geometry.h"
#include "engine/lun/pause_clock.h"
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

  virtual ~Session() = default;

  // Starts the login; Probed or Lost follows. Only when closed.
  virtual absl::Status Open(const Login& login, Clock::time_point now) = 0;
  // Drops the session without a word to the target; no callbacks.
  virtual void Close() = 0;
  // Sends a logout; true until it is through, at most until Close. Only when up.
  virtual bool Logout() = 0;
  virtual bool logging_out() const = 0;
  virtual bool open() const = 0;
  virtual bool up() const = 0;

  // Asks the LUN again who and how large it is; Probed or Lost follows. Only when up.
  virtual void Check(Clock::time_point now) = 0;

  // Issues a command, answered under `tag`. Only when up. False when there is no room for it or it is refused; then the
  // session is cut.
  virtual bool Issue(uint32_t tag, const Command16& command, uint32_t block_size, Clock::time_point now) = 0;

  // Ends the session at the end of the current Service or Flush: Lost follows.
  virtual void Cut(Loss loss, const std::string& reason) = 0;

  // For the event loop: a descriptor (-1 when there is none) and the poll events to wait for; `generation` changes with
  // every Open, when the same number is another descriptor.
  virtual int fd() const = 0;
  virtual int events() const = 0;
  virtual uint64_t generation() const = 0;
  // To be called with what poll reported.
  virtual void Service(int revents) = 0;
  // Once a turn of the event loop, last: sends what was issued, as far as there is room.
  virtual void Flush() = 0;

  // When something is overdue, and what to do then: cuts the session if it is.
  virtual std::optional<Clock::time_point> deadline() const = 0;
  virtual void CheckDeadline(Clock::time_point now) = 0;
};

}  // namespace flocker::lun
