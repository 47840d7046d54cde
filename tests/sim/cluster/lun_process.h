// A simulated LUN server: one LUN's data path, as engine/lun/server*.cc keeps it. It survives its agent, dies with its
// machine, and issues again what was not answered only under a new grant. When its process dies and an agent holds its
// descriptors, its requests wait for the successor that the agent starts.
//
//   awaiting-login -> connecting -> serving -> broken -> connecting -> serving …      any -> fenced, any -> stopped
//                     any of these -> down -> broken
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/agent/order.h"
#include "sim.h"
#include "sim_array.h"

namespace flocker::sim {

class Machine;

class LunProcess : public std::enable_shared_from_this<LunProcess> {
 public:
  enum class State { kAwaitingLogin, kConnecting, kServing, kBroken, kDown, kFenced, kStopped, kDead };
  // What its agent hears over the socket, while it listens.
  struct Listener {
    std::function<void(uint64_t epoch)> ready;  // after the first login and after each further one
    std::function<void(uint64_t epoch, const std::string& reason)> session_lost;
    std::function<void()> ended;  // its process died; the agent has what it takes to start a successor
    std::function<void()> died;
  };
  using Done = std::function<void(bool ok, const Disk& disk)>;

  LunProcess(Sim& sim, Machine& machine, SimArray& array, const DatasetId& id)
      : sim_(sim), machine_(machine), array_(array), id_(id) {}

  void Listen(Listener listener);
  void Login(const AttachOrder& order);
  void Fence();
  // False when the file is in use. `stopped` comes when it has ended, also by a kill.
  bool Stop(bool file_in_use, std::function<void()> stopped);
  void Die(bool with_machine);
  // The process dies: now, or between an answer and the note of it, so that a successor gives that request once more.
  void Crash();
  void CrashAtReply() { crash_at_reply_ = true; }
  // The agent starts a successor of a process that ended.
  void Succeed();
  // The agent died, and with it the descriptors that a successor would need, unless the machine keeps them.
  void AgentGone();

  // The file. What cannot be answered now waits for a session; it fails once it is fenced or dead.
  void Submit(const Command& command, Done done);

  State state() const { return state_; }
  uint64_t epoch() const { return epoch_; }
  bool file_ready() const { return file_ready_; }
  bool alive() const { return state_ != State::kStopped && state_ != State::kDead; }
  std::optional<uint64_t> lost_epoch() const { return lost_epoch_; }

 private:
  struct Request {
    uint64_t number = 0;
    Command command;
    Done done;
    uint64_t issue = 0;      // which time it was issued; answers to an earlier time mean nothing
    bool inherited = false;  // from a predecessor
  };
  void Connect();
  void OnLogin(bool welcome);
  void Lost(const std::string& reason);
  void Issue(Request& request);
  void IssueAll();
  bool Replaying() const;
  void Answered(uint64_t number, uint64_t issue, const Disk& disk);
  void FailAll();
  void CloseConnection();

  Sim& sim_;
  Machine& machine_;
  SimArray& array_;
  const DatasetId id_;
  State state_ = State::kAwaitingLogin;
  Listener listener_;
  std::optional<AttachOrder> grant_;
  uint64_t epoch_ = 0;
  bool file_ready_ = false;
  bool lent_ = false;  // an agent holds its descriptors
  bool crash_at_reply_ = false;
  std::optional<uint64_t> lost_epoch_;
  std::string loss_;
  std::function<void()> stopped_;
  int failed_logins_ = 0;
  std::shared_ptr<Connection> connection_;
  std::deque<Request> requests_;
  uint64_t last_request_ = 0;
  uint64_t last_issue_ = 0;
  Life life_;     // of the process
  Life session_;  // of the present try or session
};

}  // namespace flocker::sim
