// What users ask for, checked against the cluster and turned into a record to commit: create, rename (which is also
// move), destroy, restore, purge, change, exchange. Pure; a refusal is a status with its Cause and changes nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/cluster.h"
#include "engine/model/dataset.h"

namespace flocker {

struct CreateWish {
  std::string operation_id;
  DatasetId id;  // fresh, chosen by the caller
  NodeId node;
  std::string name;
  uint64_t size = 0;  // bytes; 0 means kDefaultSize
  std::map<std::string, std::string> metadata;
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
  uint32_t root_mode = 0755;
  int64_t now_ms = 0;
  // As Flocker v1 takes it: `node` need not be connected, nor known, the dataset waits for it (drained it must not be);
  // metadata stays as it is, and when its "name" cannot be the dataset's, or is taken, that is ds-<the id's beginning>.
  bool v1 = false;
};

struct RenameWish {
  std::string operation_id;
  DatasetId id;
  NodeId node;
  std::string name;
  bool force = false;
};

struct DestroyWish {
  std::string operation_id;
  DatasetId id;
  bool force = false;
  int64_t now_ms = 0;
  int64_t trash_clock_ms = 0;
};

// Out of the trash. Done when it is committed: the LUN is there, and attaching follows as after a create.
struct RestoreWish {
  std::string operation_id;
  DatasetId id;
  std::optional<NodeId> node;  // nothing: where it was
  std::string name;            // empty: as it was
};

// The end of a destroyed dataset's LUN. Done when the LUN is gone, and the record with it.
struct PurgeWish {
  std::string operation_id;
  DatasetId id;
};

// New labels, another size, protection. Done when it is committed: the LUN and its filesystem grow afterwards.
struct ChangeWish {
  enum class Keys { kAny, kNew, kPresent };
  std::string operation_id;
  DatasetId id;
  uint64_t size = 0;  // bytes; 0: as it is. Never smaller
  std::optional<bool> protect;
  std::map<std::string, std::string> metadata;  // keys to set; not "name", which PlanRename changes
  std::vector<std::string> removed;             // keys to take away
  Keys keys = Keys::kAny;                       // whether the keys above must be new (kExists), or there (kNotFound)
};

// Two datasets change places: names, and nodes. Both or neither; done when both nodes let go.
struct ExchangeWish {
  std::string operation_id;
  DatasetId one;
  DatasetId two;
  bool force = false;
};

// An operation that was accepted before, and the dataset that remembers it.
struct Known {
  DatasetId dataset;
  Operation operation;
};
// Ask this first: whoever asks again under the same id must be answered what came of it, and never cause it twice.
std::optional<Known> FindOperation(const Cluster& cluster, const std::string& operation_id);

// The record to commit. Its `operation` is done already when nothing has to be waited for. For an operation that
// FindOperation does not know.
absl::StatusOr<Dataset> PlanCreate(const Cluster& cluster, const CreateWish& wish);
absl::StatusOr<Dataset> PlanRename(const Cluster& cluster, const RenameWish& wish);
absl::StatusOr<Dataset> PlanDestroy(const Cluster& cluster, const DestroyWish& wish);
absl::StatusOr<Dataset> PlanRestore(const Cluster& cluster, const RestoreWish& wish);
absl::StatusOr<Dataset> PlanPurge(const Cluster& cluster, const PurgeWish& wish);
absl::StatusOr<Dataset> PlanChange(const Cluster& cluster, const ChangeWish& wish);
// Both records, to be committed together.
absl::StatusOr<std::pair<Dataset, Dataset>> PlanExchange(const Cluster& cluster, const ExchangeWish& wish);

}  // namespace flocker
