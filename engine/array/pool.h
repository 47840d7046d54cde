// The directory on the array's head that holds the LUNs' backing files and, beside each, its record:
//   <dataset-uuid>.img   sparse, exactly as long as the LUN
//   <dataset-uuid>.json  the record
//   *.new                of a call that was cut short; the same call repeated replaces it
// Every operation is one shell line, so that here and over ssh the same thing happens.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/array/shell.h"
#include "engine/model/admission.h"
#include "engine/model/ids.h"

namespace flocker {

struct PoolEntry {
  std::optional<uint64_t> size;  // bytes of the backing file; empty when there is none
  uint64_t used = 0;             // bytes that it takes
  std::string record;            // empty when there is none
};

// Blocks for at most a minute a call (a sync may wait for the disk). What changed is durable when a call returns.
class Pool {
 public:
  // `directory` exists already: an empty mountpoint must not be mistaken for a pool and be filled.
  Pool(const Shell& shell, std::string directory) : shell_(shell), directory_(std::move(directory)) {}

  std::string BackingFile(const DatasetId& id) const;

  absl::StatusOr<PoolCapacity> Capacity() const;
  absl::StatusOr<std::optional<uint64_t>> Size(const DatasetId& id) const;
  // Array's Create: the record, and the file if it is not there with that size.
  absl::Status CreateWithRecord(const DatasetId& id, uint64_t size, const std::string& record) const;
  // Array's Resize of the file.
  absl::Status GrowTo(const DatasetId& id, uint64_t size) const;
  absl::Status Remove(const DatasetId& id) const;  // record and file; OK when there is none
  absl::Status WriteRecord(const DatasetId& id, const std::string& record) const;
  absl::StatusOr<std::map<DatasetId, PoolEntry>> List() const;

 private:
  absl::Status Create(const DatasetId& id, uint64_t size) const;  // fails when it exists
  absl::Status Grow(const DatasetId& id, uint64_t size) const;    // to `size` or more than it has
  // `script` with the pool as its directory; its output.
  absl::StatusOr<std::string> Run(const std::string& what, const std::string& script) const;

  const Shell& shell_;
  const std::string directory_;
};

}  // namespace flocker
