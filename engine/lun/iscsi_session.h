// A session over libiscsi.
//
// libiscsi's own reconnect is off: it would send the queued commands again without asking anybody whether the LUN is
// still ours.
#pragma once

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/lun/probe.h"
#include "engine/lun/session.h"

namespace flocker::lun {

class IscsiSession final : public Session {
 public:
  // `max_commands` bounds the commands in flight; all memory for them is allocated here. `task_timeout` is what a login
  // may take, and a command since those issued before it were answered: on a slow link many wait for their turn.
  IscsiSession(Owner& owner, uint32_t max_commands, Clock::duration task_timeout);
  ~IscsiSession() override;
  IscsiSession(const IscsiSession&) = delete;
  IscsiSession& operator=(const IscsiSession&) = delete;

  // The portal must be numeric: a name would be looked up in here, blocking.
  absl::Status Open(const Login& login, Clock::time_point now) override;
  void Close() override;
  bool Logout() override;
  bool logging_out() const override { return phase_ == Phase::kLoggingOut; }
  bool open() const override { return iscsi_ != nullptr; }
  bool up() const override { return phase_ == Phase::kUp; }
  void Check(Clock::time_point now) override;
  bool Issue(uint32_t tag, const Command16& command, uint32_t block_size, Clock::time_point now) override;
  void Cut(Loss loss, const std::string& reason) override;
  int fd() const override;
  int events() const override;
  uint64_t generation() const override { return generation_; }
  void Service(int revents) override;
  void Flush() override;
  std::optional<Clock::time_point> deadline() const override { return deadline_; }
  void CheckDeadline(Clock::time_point now) override;

 private:
  enum class Phase { kClosed, kConnecting, kLoggingIn, kProbing, kUp, kLoggingOut };

  struct DestroyContext {
    void operator()(iscsi_context* iscsi) const { iscsi_destroy_context(iscsi); }
  };

  // One command at libiscsi; libiscsi keeps pointers into it until the answer.
  struct InFlight {
    IscsiSession* session = nullptr;
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
  // While on, the socket sends full segments alone (tcp(7)).
  void Cork(bool on);

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
  uint32_t unsent_ = 0;  // pieces that were queued since it was last sent: a command's header, its data
  uint64_t oldest_ = 0;  // the command that all others wait behind, by number, as last looked
  Clock::time_point oldest_since_;
  struct Ending {
    Loss loss;
    std::string reason;
  };
  std::optional<Ending> cut_;
};

}  // namespace flocker::lun
