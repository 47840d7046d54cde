// One dataset on a simulated node: the real steps of engine/model/attachment.h, driven as engine/agent/holding.cc
// drives them, on a simulated machine. Change both together.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/agent/order.h"
#include "engine/model/attachment.h"
#include "engine/rpc/flocker.pb.h"
#include "machine.h"
#include "sim.h"

namespace flocker::sim {

class SimHolding {
 public:
  struct Context {
    std::function<void(const rpc::AgentUp&)> send;
    std::function<void(const MountKey&)> forget;
  };

  // A new one, or one out of the journal (`order` empty).
  SimHolding(Sim& sim, Machine& machine, Context context, Attachment attachment, std::optional<AttachOrder> order);
  ~SimHolding();
  SimHolding(const SimHolding&) = delete;
  SimHolding& operator=(const SimHolding&) = delete;

  void OnAttach(const AttachOrder& order);
  void OnRelease(uint64_t epoch);
  void OnDrop(uint64_t epoch);
  void Repeat();
  std::optional<rpc::Held> held() const;
  uint64_t mount_epoch() const { return key_.second; }
  const Attachment& attachment() const { return attachment_; }

 private:
  using Done = std::function<void(absl::Status)>;

  // The agent's half of the LUN server's socket, as engine/agent/lun_server.cc.
  void Connect(const std::shared_ptr<LunProcess>& lun);
  void Login(const AttachOrder& order);
  void SendLogin();
  void OnReady(uint64_t epoch);
  void OnLost(uint64_t epoch, const std::string& reason);
  void OnLunEnded();
  void OnLunDied();
  void CheckWait();

  void Adopt();
  void Work();
  void Wake();
  void Kick() { paused_ = false, Wake(); }
  bool TellControl(LocalStep step);
  bool TooLate(uint64_t epoch);
  void Finish(LocalStep step, uint64_t epoch, const absl::Status& status);
  void Report(rpc::Report::Kind kind, const std::string& message);
  void Save() { machine_.journal[key_] = attachment_; }
  void Over();

  void Start(LocalStep step, Done done);
  void StartLun(Done done);
  void Format(Done done);
  void Mount(Done done);
  void Unmount(Done done);
  void Prove(Done done);
  void StopLun(Done done);
  void Drop();
  Stack& stack() { return machine_.stack(key_); }
  absl::Status ScanFor(bool hidden);

  Sim& sim_;
  Machine& machine_;
  const Context context_;
  const MountKey key_;
  Attachment attachment_;
  std::optional<AttachOrder> order_;
  bool growing_ = false;
  bool paused_ = false;
  bool over_ = false;
  bool stepping_ = false;
  bool woken_ = false;
  bool not_held_ = false;  // at its end control is told that nothing of it is here
  std::string busy_;

  std::shared_ptr<LunProcess> lun_;
  std::optional<AttachOrder> pending_;
  bool accepts_login_ = false;
  uint64_t session_epoch_ = 0;
  std::optional<uint64_t> lost_epoch_;
  Done wait_ready_;  // of the step that logs in
  uint64_t wait_epoch_ = 0;

  Life life_;
};

}  // namespace flocker::sim
