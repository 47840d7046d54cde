#include "engine/model/operations.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/exchange.h"
#include "engine/model/names.h"
#include "engine/model/nodes.h"
#include "engine/model/planner.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

// Flocker v1's limits (flocker-v1.md §1.5).
constexpr size_t kMaxMetadata = 16;
constexpr size_t kMaxMetadataText = 256;

absl::Status CheckMetadata(const std::map<std::string, std::string>& metadata) {
  if (metadata.size() > kMaxMetadata) return Refuse(Cause::kRange, "more than 16 metadata keys");
  for (const auto& [key, value] : metadata) {
    const auto key_size = CountCharacters(key);
    const auto value_size = CountCharacters(value);
    if (!key_size || !value_size) {
      return Refuse(Cause::kInvalid, absl::StrCat("metadata '", absl::CHexEscape(key), "' is not UTF-8"));
    }
    if (*key_size == 0 || *key_size > kMaxMetadataText || *value_size > kMaxMetadataText) {
      return Refuse(Cause::kRange,
                    absl::StrCat("metadata '", key, "': keys have 1 to 256 characters, values up to 256"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFree(const Cluster& cluster, const std::string& name, const DatasetId& mine) {
  const Dataset* other = cluster.FindName(name);
  if (other == nullptr || other->id == mine) return absl::OkStatus();
  const auto node = other->ShownOn();
  return Refuse(Cause::kExists,
                absl::StrCat("the name ", name, " is taken by the dataset on node ",
                             node ? NodeLabel(cluster, *node) : "?", "; names are unique in the cluster"));
}

// A dataset that no other operation is changing.
absl::StatusOr<Dataset> FindIdle(const Cluster& cluster, const DatasetId& id) {
  const Dataset* dataset = cluster.Find(id);
  if (dataset == nullptr) return Refuse(Cause::kNotFound, absl::StrCat("there is no dataset ", id.str()));
  if (dataset->placement.phase == Phase::kPurging) {
    return Refuse(Cause::kNotFound, absl::StrCat("dataset ", dataset->name, " is being purged"));
  }
  if (!dataset->operation.id.empty() && !dataset->operation.done) {
    return Refuse(Cause::kBusy, absl::StrCat("dataset ", dataset->name, " is in the middle of another ",
                                             dataset->operation.kind, "; wait for it to end"));
  }
  return *dataset;
}

absl::StatusOr<Dataset> FindLive(const Cluster& cluster, const DatasetId& id) {
  ASSIGN_OR_RETURN(Dataset dataset, FindIdle(cluster, id));
  if (!dataset.desired.deleted) return dataset;
  return Refuse(Cause::kNotFound,
                absl::StrCat("dataset ", dataset.name, " is destroyed; flockerctl restore brings it back"));
}

// A destroyed one. It counts as that from the moment its node let go, also while the array is still being told.
absl::StatusOr<Dataset> FindTrashed(const Cluster& cluster, const DatasetId& id) {
  ASSIGN_OR_RETURN(Dataset dataset, FindIdle(cluster, id));
  if (dataset.desired.deleted) return dataset;
  return Refuse(Cause::kInvalid, absl::StrCat("dataset ", dataset.name, " is not in the trash"));
}

// Whether the dataset's node would have to be fenced while the valve forbids it.
absl::Status CheckValve(const Cluster& cluster, const Dataset& dataset, bool force) {
  if (force || !cluster.valve_closed() || !dataset.placement.node) return absl::OkStatus();
  if (cluster.LivenessOf(*dataset.placement.node) == Liveness::kConnected) return absl::OkStatus();
  return Refuse(Cause::kNodeDown,
                absl::StrCat("more than a third of the nodes vanished together, so ", dataset.name,
                             " is not taken off ", NodeLabel(cluster, *dataset.placement.node),
                             ": check the network; if the nodes are truly dead, use flockerctl move --force"));
}

// Whether its node was promised that it stays.
absl::Status CheckLease(const Cluster& cluster, const Dataset& dataset) {
  const Lease* lease = cluster.LeaseOf(dataset.id);
  if (lease == nullptr || lease->node != dataset.desired.node) return absl::OkStatus();
  return Refuse(Cause::kBusy,
                absl::StrCat("dataset ", dataset.name, " is leased to node ", NodeLabel(cluster, lease->node),
                             "; flockerctl leases shows until when, and releases it"));
}

std::string NameForV1(const Cluster& cluster, const CreateWish& wish) {
  const auto given = wish.metadata.find(kNameKey);
  if (given != wish.metadata.end() && CheckName(given->second).ok() &&
      CheckFree(cluster, given->second, DatasetId()).ok()) {
    return given->second;
  }
  const std::string brief = absl::StrCat("ds-", wish.id.Short());
  return CheckFree(cluster, brief, DatasetId()).ok() ? brief : absl::StrCat("ds-", wish.id.str());
}

}  // namespace

std::optional<Known> FindOperation(const Cluster& cluster, const std::string& operation_id) {
  const Dataset* dataset = cluster.FindByOperation(operation_id);
  if (dataset == nullptr) return std::nullopt;
  if (dataset->operation.id == operation_id) return Known{dataset->id, dataset->operation};
  const auto earlier = std::find_if(dataset->earlier.begin(), dataset->earlier.end(),
                                    [&](const Operation& operation) { return operation.id == operation_id; });
  return Known{dataset->id, *earlier};
}

absl::StatusOr<Dataset> PlanCreate(const Cluster& cluster, const CreateWish& wish) {
  if (!wish.v1) {
    RETURN_IF_ERROR(CheckName(wish.name));
    RETURN_IF_ERROR(CheckFree(cluster, wish.name, DatasetId()));
  }
  RETURN_IF_ERROR(CheckMetadata(wish.metadata));
  ASSIGN_OR_RETURN(const uint64_t size, CheckSize(wish.size == 0 ? kDefaultSize : wish.size));
  if (!wish.v1 || cluster.Drained(wish.node)) RETURN_IF_ERROR(CheckTakes(cluster, wish.node));
  Dataset dataset;
  dataset.id = wish.id;
  dataset.metadata = wish.metadata;
  if (wish.v1) {
    dataset.name = NameForV1(cluster, wish);
  } else {
    dataset.SetName(wish.name);
  }
  dataset.size = size;
  dataset.created_ms = wish.now_ms;
  dataset.root_uid = wish.root_uid;
  dataset.root_gid = wish.root_gid;
  dataset.root_mode = wish.root_mode & 07777;
  dataset.desired = {.node = wish.node, .name = dataset.name};
  dataset.operation = {.id = wish.operation_id, .kind = "create"};
  return dataset;
}

absl::StatusOr<Dataset> PlanRename(const Cluster& cluster, const RenameWish& wish) {
  ASSIGN_OR_RETURN(Dataset dataset, FindLive(cluster, wish.id));
  RETURN_IF_ERROR(CheckName(wish.name));
  RETURN_IF_ERROR(CheckFree(cluster, wish.name, wish.id));
  const bool moves = dataset.desired.node != wish.node;
  dataset.Begin({.id = wish.operation_id, .kind = "move"});
  dataset.desired.name = wish.name;
  if (!moves) {
    dataset.SetName(wish.name);
    dataset.operation.done = true;
    return dataset;
  }
  RETURN_IF_ERROR(CheckTakes(cluster, wish.node));
  RETURN_IF_ERROR(CheckLease(cluster, *cluster.Find(wish.id)));
  RETURN_IF_ERROR(CheckValve(cluster, dataset, wish.force));
  dataset.desired.node = wish.node;
  dataset.desired.force = wish.force;
  if (Unheld(dataset.placement.phase)) {
    dataset.SetName(wish.name);
    dataset.operation.done = true;
  }
  return dataset;
}

absl::StatusOr<Dataset> PlanDestroy(const Cluster& cluster, const DestroyWish& wish) {
  ASSIGN_OR_RETURN(Dataset dataset, FindLive(cluster, wish.id));
  if (dataset.protect) {
    return Refuse(Cause::kForbidden, absl::StrCat("dataset ", dataset.name, " is protected"));
  }
  RETURN_IF_ERROR(CheckLease(cluster, dataset));
  RETURN_IF_ERROR(CheckValve(cluster, dataset, wish.force));
  dataset.Begin({.id = wish.operation_id, .kind = "destroy", .done = Unheld(dataset.placement.phase)});
  dataset.desired.deleted = true;
  dataset.desired.force = wish.force;
  dataset.trashed_ms = wish.now_ms;
  dataset.trashed_clock_ms = wish.trash_clock_ms;
  return dataset;
}

absl::StatusOr<Dataset> PlanRestore(const Cluster& cluster, const RestoreWish& wish) {
  ASSIGN_OR_RETURN(Dataset dataset, FindTrashed(cluster, wish.id));
  const std::string name = wish.name.empty() ? dataset.name : wish.name;
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(CheckFree(cluster, name, wish.id));
  const std::optional<NodeId> node = wish.node ? wish.node : dataset.desired.node;
  if (!node) return Refuse(Cause::kInvalid, absl::StrCat("dataset ", dataset.name, " was on no node; say which one"));
  RETURN_IF_ERROR(CheckTakes(cluster, *node));
  dataset.Begin({.id = wish.operation_id, .kind = "restore", .done = true});
  dataset.SetName(name);
  dataset.desired = {.node = node, .name = name};
  dataset.trashed_ms = dataset.trashed_clock_ms = 0;
  return dataset;
}

absl::StatusOr<Dataset> PlanPurge(const Cluster& cluster, const PurgeWish& wish) {
  ASSIGN_OR_RETURN(Dataset dataset, FindTrashed(cluster, wish.id));
  if (dataset.protect) {
    return Refuse(Cause::kForbidden, absl::StrCat("dataset ", dataset.name, " is protected"));
  }
  dataset.Begin({.id = wish.operation_id, .kind = "purge"});
  dataset.desired.purge = true;
  return dataset;
}

namespace {

absl::Status CheckKey(const Dataset& dataset, const std::string& key, ChangeWish::Keys keys) {
  if (key == kNameKey) {
    return Refuse(Cause::kForbidden, absl::StrCat("the name of ", dataset.name, " is changed by mv, not by a label"));
  }
  const bool there = dataset.metadata.contains(key);
  if (keys == ChangeWish::Keys::kNew && there) {
    return Refuse(Cause::kExists, absl::StrCat("dataset ", dataset.name, " has metadata '", key, "' already"));
  }
  if (keys == ChangeWish::Keys::kPresent && !there) {
    return Refuse(Cause::kNotFound, absl::StrCat("dataset ", dataset.name, " has no metadata '", key, "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Dataset> PlanChange(const Cluster& cluster, const ChangeWish& wish) {
  ASSIGN_OR_RETURN(Dataset dataset, FindLive(cluster, wish.id));
  for (const std::string& key : wish.removed) {
    RETURN_IF_ERROR(CheckKey(dataset, key, wish.keys));
    dataset.metadata.erase(key);
  }
  for (const auto& [key, value] : wish.metadata) {
    RETURN_IF_ERROR(CheckKey(dataset, key, wish.keys));
    dataset.metadata[key] = value;
  }
  RETURN_IF_ERROR(CheckMetadata(dataset.metadata));
  if (wish.size != 0) {
    ASSIGN_OR_RETURN(const uint64_t size, CheckSize(wish.size));
    if (size < dataset.size) {
      return Refuse(Cause::kInvalid,
                    absl::StrCat("dataset ", dataset.name, " has ", FormatSize(dataset.size), " and cannot shrink to ",
                                 FormatSize(size), "; copy its files into a smaller one"));
    }
    if (size > dataset.size && dataset.grows_from == 0) dataset.grows_from = dataset.size;
    dataset.size = size;
  }
  if (wish.protect) dataset.protect = *wish.protect;
  dataset.Begin({.id = wish.operation_id, .kind = "change", .done = true});
  return dataset;
}

absl::StatusOr<std::pair<Dataset, Dataset>> PlanExchange(const Cluster& cluster, const ExchangeWish& wish) {
  ASSIGN_OR_RETURN(Dataset one, FindLive(cluster, wish.one));
  ASSIGN_OR_RETURN(Dataset two, FindLive(cluster, wish.two));
  if (one.id == two.id) return Refuse(Cause::kInvalid, absl::StrCat(one.name, " cannot change places with itself"));
  const bool moves = one.desired.node != two.desired.node;
  for (Dataset* dataset : {&one, &two}) {
    if (!dataset->desired.node) return Refuse(Cause::kInvalid, absl::StrCat(dataset->name, " is on no node"));
    if (moves) {
      RETURN_IF_ERROR(CheckLease(cluster, *dataset));
      RETURN_IF_ERROR(CheckTakes(cluster, *dataset->desired.node));
      RETURN_IF_ERROR(CheckValve(cluster, *dataset, wish.force));
      dataset->desired.force = wish.force;
    }
  }
  one.Begin({.id = wish.operation_id, .kind = "exchange", .with = two.id});
  two.Begin({.id = wish.operation_id, .kind = "exchange", .with = one.id});
  if (moves) {
    one.desired.leave = true;
  } else {
    ChangePlaces(one, two);
  }
  return std::pair(std::move(one), std::move(two));
}

}  // namespace flocker
