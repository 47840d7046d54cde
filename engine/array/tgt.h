// Array driver for tgt, the user-space SCSI target (DESIGN §7). How a fence is sure of itself: README.md.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/array/array.h"
#include "engine/array/pool.h"
#include "engine/array/shell.h"
#include "engine/array/tgtadm.h"
#include "engine/array/tgtd_watch.h"
#include "engine/base/mutex.h"

namespace flocker {

struct TgtConfig {
  std::string pool;        // existing directory for the backing files, where the commands run
  int control_number = 0;  // tgtd -C
  std::string portal;      // "address:port" that nodes log in at
  std::string iqn_prefix = "iqn.2026-11.io.flocker:";  // target name = prefix + dataset id
  // Runs a shell line on the array's head, given as one further argument, as in {"ssh", "-q", "root@array"}; empty:
  // here.
  std::vector<std::string> command_prefix;
  absl::Duration fence_timeout = absl::Seconds(5);  // how long a call waits for a session to end before it says so
};

class TgtArray final : public Array {
 public:
  explicit TgtArray(TgtConfig config);
  TgtArray(const TgtArray&) = delete;
  TgtArray& operator=(const TgtArray&) = delete;

  absl::StatusOr<PoolCapacity> Capacity() override;
  absl::Status Answers() override;
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
  void OnRestart(std::function<void()> restarted) override;

 private:
  std::string TargetName(const DatasetId& id) const { return config_.iqn_prefix + id.str(); }
  absl::StatusOr<std::optional<TgtTarget>> Find(const DatasetId& id) EXCLUDES(mutex_);
  absl::Status Export(const DatasetId& id, const flocker::Grant& grant);
  absl::Status Withdraw(const DatasetId& id, const flocker::Grant* only) EXCLUDES(mutex_);
  absl::Status CloseDoor(const TgtTarget& target, const flocker::Grant* only) const;
  absl::Status DeleteConnections(const TgtTarget& target, const flocker::Grant* only, std::set<uint64_t>* cut) const;
  absl::Status ForgetAccount(const std::string& user) const;
  bool HasLun(const TgtTarget& target, const DatasetId& id, uint64_t size) const;
  void Restarted() EXCLUDES(mutex_);

  // Constant after construction.
  const TgtConfig config_;
  const Shell shell_;
  const Pool pool_;
  const Tgtadm tgtadm_;

  // Set once, before the first call.
  std::function<void()> restarted_;

  Mutex mutex_;
  std::set<DatasetId> granted_ GUARDED_BY(mutex_);  // by this object, and not withdrawn: their targets must be there
  bool notified_ GUARDED_BY(mutex_) = false;        // of a restart, and nothing was granted since

  std::unique_ptr<TgtdWatch> watch_;  // of a local tgtd; last, because it calls Restarted
};

}  // namespace flocker
