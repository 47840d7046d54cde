// What the agent needs of flocker-fs, whoever provides it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/ids.h"

namespace flocker {

class Tree {
 public:
  virtual ~Tree() = default;

  // New lookups and opens of the dataset wait from now on; the answer is the number of handles that stayed open through
  // `grace`. Without a flocker-fs nobody can open anything: 0.
  virtual absl::StatusOr<uint32_t> Gate(const DatasetId& id, absl::Duration grace) = 0;
  // flocker-fs holds nothing of the attachment any more when this returns.
  virtual absl::Status DropDescriptors(const DatasetId& id, uint64_t mount_epoch) = 0;
  virtual void Ungate(const DatasetId& id) = 0;

  // For the scan of holders: the tree's st_dev (0 when there is none), its mountpoint, processes that are ours.
  virtual dev_t device() const = 0;
  virtual std::string mountpoint() const = 0;
  virtual std::set<pid_t> own_processes() const = 0;
};

}  // namespace flocker
