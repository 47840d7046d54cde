// Array driver for files of this machine (DESIGN §7): a grant's address names the file, and the node's flocker-lun, on
// this machine too, claims it (engine/base/file_claim.h). No target, no network. How a fence is sure: README.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/array/array.h"
#include "engine/array/pool.h"
#include "engine/array/shell.h"

namespace flocker {

struct LocalConfig {
  std::string pool;  // existing directory for the files, on a filesystem of this machine
  // How long a call waits for who has a file to let go before it says so.
  absl::Duration fence_timeout = absl::Seconds(5);
};

class LocalArray final : public Array {
 public:
  explicit LocalArray(LocalConfig config);
  LocalArray(const LocalArray&) = delete;
  LocalArray& operator=(const LocalArray&) = delete;

  absl::StatusOr<PoolCapacity> Capacity() override;
  absl::Status Create(const DatasetId& id, uint64_t size, const std::string& record) override;
  absl::Status Resize(const DatasetId& id, uint64_t size) override;
  absl::Status Destroy(const DatasetId& id) override;
  absl::Status WriteRecord(const DatasetId& id, const std::string& record) override;
  // An address without a portal, whose target is the file's path.
  absl::StatusOr<LunAddress> Grant(const DatasetId& id, const flocker::Grant& grant) override;
  absl::Status Revoke(const DatasetId& id, const flocker::Grant& grant) override;
  absl::Status Fence(const DatasetId& id, const flocker::Grant& grant) override;
  absl::Status CutOff(const DatasetId& id) override;
  absl::StatusOr<LunAddress> Renew(const DatasetId& id, const flocker::Grant& previous,
                                   const flocker::Grant& next) override;
  absl::StatusOr<std::vector<ArrayEntry>> List() override;
  // Never called: what is granted is on disk.
  void OnRestart(std::function<void()> restarted) override;

 private:
  absl::Status Withdraw(const DatasetId& id, const flocker::Grant* only) const;

  const LocalConfig config_;
  const Shell shell_;
  const Pool pool_;
};

}  // namespace flocker
