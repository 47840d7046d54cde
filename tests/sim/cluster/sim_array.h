// The simulated storage array: the driver's interface on one side, logins and commands on the other. It behaves as
// engine/array/README.md and tgt do: a restart forgets exports and sessions, never blocks; a command that is stuck in
// the backing store keeps its session alive after it was cut, and lands later.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/array/array.h"
#include "sim.h"

namespace flocker::sim {

// One TCP connection from a LUN server to the array.
struct Connection {
  Connection(Network& network, Place node) : up(network, node, kArrayPlace), down(network, kArrayPlace, node) {}
  Pipe up;
  Pipe down;
  // At the node's end; empty once the node closed it.
  std::function<void(bool welcome)> on_login;
  std::function<void(const std::string& why)> on_closed;
};

struct Command {
  enum class Kind { kWrite, kSync, kFormat, kRead };
  Kind kind = Kind::kRead;
  std::vector<uint64_t> numbers;  // of kWrite
};

// What lies on a LUN.
struct Disk {
  bool formatted = false;
  Blocks blocks{};
};

class SimArray final : public Array {
 public:
  explicit SimArray(Sim& sim) : sim_(sim) {}

  // Driver. No call waits: one that would have to poll answers DeadlineExceeded at once.
  absl::StatusOr<PoolCapacity> Capacity() override;
  absl::Status Create(const DatasetId& id, uint64_t size, const std::string& record) override;
  absl::Status Resize(const DatasetId& id, uint64_t size) override;
  absl::Status Destroy(const DatasetId& id) override;
  absl::Status WriteRecord(const DatasetId& id, const std::string& record) override;
  absl::StatusOr<LunAddress> Grant(const DatasetId& id, const flocker::Grant& grant) override;
  absl::Status Revoke(const DatasetId& id, const flocker::Grant& grant) override;
  absl::Status Fence(const DatasetId& id, const flocker::Grant& grant) override;
  absl::Status CutOff(const DatasetId& id) override;
  absl::StatusOr<LunAddress> Renew(const DatasetId& id, const flocker::Grant& previous,
                                   const flocker::Grant& next) override;
  absl::StatusOr<std::vector<ArrayEntry>> List() override;
  void OnRestart(std::function<void()> restarted) override { restarted_ = std::move(restarted); }

  // Data path. These are called when the packet is there.
  using Reply = std::function<void(const Disk&)>;
  void Login(const std::shared_ptr<Connection>& connection, const DatasetId& id, const std::string& initiator,
             uint64_t epoch, const std::string& secret);
  // `reply` travels down the connection.
  void Execute(const std::shared_ptr<Connection>& connection, const Command& command, Reply reply);
  void Close(const std::shared_ptr<Connection>& connection);

  // Faults.
  void Crash();  // forgets exports and sessions; unreachable until Start
  void Start();
  void set_failing(uint64_t percent) { failing_percent_ = percent; }
  void set_stuck(uint64_t percent) { stuck_percent_ = percent; }

  // For the last judgement.
  std::map<DatasetId, ArrayEntry> Everything() const;
  const Disk* disk(const DatasetId& id) const;

 private:
  struct Session {
    uint64_t id = 0;
    std::string initiator;
    uint64_t epoch = 0;
    std::shared_ptr<Connection> connection;
    bool cut = false;
    int stuck = 0;  // commands in the backing store
  };
  struct Lun {
    bool exists = false;
    uint64_t size = 0;
    std::string record;
    Disk disk;
    bool exported = false;
    std::vector<flocker::Grant> allowed;
    std::vector<Session> sessions;
  };
  absl::Status MayFail();
  Lun* FindLun(const DatasetId& id);
  Session* FindSession(const DatasetId& id, uint64_t session);
  void Apply(const DatasetId& id, Session& session, const Command& command);
  void Unstick(const DatasetId& id, uint64_t session, const Command& command, const Reply& reply);
  void CutSession(Session& session, const std::string& why);
  void Reap(const DatasetId& id);
  absl::Status Withdraw(const DatasetId& id, const flocker::Grant& grant);
  absl::StatusOr<LunAddress> Export(const DatasetId& id, const flocker::Grant& grant);
  void Check(const DatasetId& id);

  Sim& sim_;
  std::function<void()> restarted_;
  std::map<DatasetId, Lun> luns_;
  uint64_t last_session_ = 0;
  uint64_t failing_percent_ = 0;
  uint64_t stuck_percent_ = 0;
  bool up_ = true;
  Life life_;  // of this run
};

}  // namespace flocker::sim
