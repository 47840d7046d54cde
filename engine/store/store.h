// The cluster's durable state, owned by control: what Commit acknowledged survives a crash at any point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/dataset.h"
#include "engine/model/event.h"

namespace flocker {

// One transition: all of it or nothing. The fields are applied in the order they stand here.
struct Batch {
  std::vector<Dataset> put;
  std::vector<DatasetId> erase;
  std::vector<DatasetId> tombstones;  // ids that are gone for good: whoever still reports one is told so
  std::vector<DatasetId> erase_tombstones;
  std::vector<Node> put_nodes;
  std::vector<NodeId> erase_nodes;
  std::vector<Event> events;                // numbered by the caller, each above every seq committed before
  std::map<std::string, std::string> meta;  // set; an empty value erases the key
};

// Everything but the events, which may be many.
struct Snapshot {
  std::vector<Dataset> datasets;
  std::vector<Node> nodes;
  std::vector<DatasetId> tombstones;
  std::map<std::string, std::string> meta;
  uint64_t last_event = 0;  // the highest seq ever committed, also when it was trimmed since; 0 when there was none
};

// Calls block on the disk and may come from several threads. Reads see every commit that returned before.
class Store {
 public:
  virtual ~Store() = default;

  // Atomic; on the disk when it returns OK. After an error the batch may or may not be found at the next Load, so the
  // caller must stop acting on its state: end and start again. InvalidArgument (an event out of order, an empty id)
  // refuses the batch before anything is written.
  virtual absl::Status Commit(const Batch& batch) = 0;

  // DataLoss, naming the key and the place, for a record that cannot be read.
  virtual absl::StatusOr<Snapshot> Load() = 0;

  // Events with seq >= `from_seq`, oldest first, at most `limit`.
  virtual absl::StatusOr<std::vector<Event>> Events(uint64_t from_seq, size_t limit) = 0;

  // Forgets events but those with the newest `keep` numbers.
  virtual absl::Status TrimEvents(uint64_t keep) = 0;
};

}  // namespace flocker
