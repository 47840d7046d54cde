// The requests that need the LUN, on their way: each becomes SCSI commands, is answered when all of them are, and is
// kept whole until then, so that it can be issued again from its beginning.
//
//     Add -> waiting --Issue--> issued --all commands good--> answered, slot released
//               ^                 |  |
//               |   Suspend       |  +-- full pool? --> held   --verdict--> waiting or failed
//               +-----------------+  +-- busy -------> later  --a while--> waiting
//                                    +-- doubt -----> waiting  (the owner checks the LUN first)
//
// Issuing a request again is right because all of them are idempotent and the kernel has no other one for the same
// blocks in flight that it was not free to reorder.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/lun/arena.h"
#include "engine/lun/fuse_device.h"
#include "engine/lun/fuse_request.h"
#include "engine/lun/log_budget.h"
#include "engine/lun/sense.h"
#include "engine/lun/session.h"
#include "engine/lun/wire.h"

namespace flocker::lun {

class Transfers {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // The first write is held; more may join it without a call.
    virtual void WriteHeld(const Command16& command, const ScsiAnswer& answer) = 0;
    // A request is set aside because the LUN is busy; to be brought back by ReleaseLater.
    virtual void LunBusy() = 0;
    // The LUN may have changed: check it and IssueWaiting when it has not. Nothing may be issued until then.
    virtual void LunInDoubt(const ScsiAnswer& answer) = 0;
  };

  // Sees what the LUN is told and what it acknowledges, a command at a time. Its calls must not wait for the LUN.
  class Witness {
   public:
    virtual ~Witness() = default;
    virtual void Issued(uint32_t slot, const Command16& command) = 0;
    // Well; the request is not answered yet.
    virtual void Acknowledged(uint32_t slot, const Command16& command) = 0;
  };

  // Commands in flight a request may have; `session` must take slot_count times as many.
  static constexpr uint32_t kCommandsPerRequest = 4;

  // A LUN that is busy for `busy_limit` fails the request. `witness` may be null.
  Transfers(Owner& owner, Arena& arena, FuseDevice& fuse, Session& session, Clock::duration busy_limit,
            Witness* witness);
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  // Where commands go from now on. Only while nothing is issued.
  void SetSession(Session& session) { session_ = &session; }
  // How the LUN is to be talked to, from now on.
  void SetGeometry(const Geometry& geometry) { geometry_ = geometry; }

  // Takes over a delivered slot, whose request has to do `length` bytes.
  void Add(uint32_t slot, const FuseRequest& request, uint64_t length);
  void Issue(uint32_t slot, Clock::time_point now);

  // Issues everything that waits, in its order of arrival; how many.
  uint64_t IssueWaiting(Clock::time_point now);
  // The session is closed: everything issued, held or set aside waits again.
  void Suspend();
  // Answers all that waits, is held or set aside. Requests at a session that is up are not touched.
  uint64_t FailAll(int error);

  // From Session.
  void Answered(uint32_t slot, const Command16& command, const ScsiAnswer& answer, Clock::time_point now);

  // The held writes wait to be issued again, or fail with what their sense data means.
  void ReleaseHeld();
  uint64_t FailHeld();
  uint32_t held() const { return held_; }
  // Requests whose commands are at the LUN.
  uint32_t issued() const;
  // What was set aside because the LUN was busy waits to be issued again.
  void ReleaseLater();

  // Answers a slot's request and releases it; also for requests that were never Added.
  void Reply(uint32_t slot, const FuseRequest& request, int error, std::span<const std::byte> data);

  const Counters& counters() const { return counters_; }

 private:
  enum class Stage : uint8_t { kNone, kWaiting, kIssued, kHeld, kLater };

  struct Transfer {
    Stage stage = Stage::kNone;
    FuseRequest request;
    uint64_t length = 0;       // bytes to do
    uint64_t issued = 0;       // of them, those covered by a command
    bool flushed = false;      // FSYNC: its command was issued
    uint32_t outstanding = 0;  // commands without an answer
    uint32_t attempts = 0;     // repeats that were not our doing
    std::optional<Clock::time_point> busy_since;
    // The first answer that was not good; nothing more is issued then.
    Judgement judgement;
    ScsiAnswer answer;
    Command16 failed;
  };

  bool Complete(const Transfer& transfer) const;
  Command16 NextCommand(uint32_t slot, const Transfer& transfer) const;
  void Pump(uint32_t slot, Clock::time_point now);
  void Resolve(uint32_t slot, Clock::time_point now);
  static void Rewind(Transfer& transfer);
  void Finish(uint32_t slot, int error);
  template <class F>
  uint64_t ForEachAt(Stage stage, F f);

  Owner& owner_;
  Arena& arena_;
  FuseDevice& fuse_;
  Session* session_;
  const Clock::duration busy_limit_;
  Witness* const witness_;
  Geometry geometry_;
  std::vector<Transfer> transfers_;  // by slot
  std::vector<uint32_t> batch_;      // room for ForEachAt
  uint32_t held_ = 0;
  Counters counters_{};
  LogBudget log_;
};

}  // namespace flocker::lun
