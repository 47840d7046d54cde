// What is promised beyond one operation: leases, and the wishes of v1 clients, which are tried until they come true or
// their time is over.
#include "engine/control/controller.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/codec.h"

namespace flocker {
namespace {

constexpr absl::Duration kWishLook = absl::Seconds(1);        // costs nothing: a look at the cluster
constexpr absl::Duration kMaxWishBackoff = absl::Seconds(8);  // an attempt stops new opens on the node for a moment
constexpr absl::Duration kLongestLease = absl::Hours(24 * 36500);

std::string LeaseText(const Cluster& cluster, const Lease& lease) {
  const Dataset* dataset = cluster.Find(lease.dataset);
  const Node* node = cluster.FindNode(lease.node);
  return absl::StrCat(dataset != nullptr ? dataset->name : lease.dataset.str(), " to ",
                      node != nullptr ? node->name : lease.node.str());
}

}  // namespace

void Controller::LoadPromises(const Snapshot& snapshot, absl::Duration now) {
  const int64_t wall_ms = world_.WallClockMs();
  for (const Lease& lease : SavedLeases(snapshot)) {
    cluster_.PutLease(lease);
    if (lease.expires_ms) lease_ends_.Set(lease.dataset, now + absl::Milliseconds(*lease.expires_ms - wall_ms));
  }
  for (const Wish& wish : SavedWishes(snapshot)) {
    // A clock that was set meanwhile neither ends it at once nor keeps it for longer than was promised.
    const absl::Duration age =
        std::clamp(absl::Milliseconds(wall_ms - wish.since_ms), absl::ZeroDuration(), options_.move_patience);
    wishes_[wish.dataset] = {.wish = wish, .deadline = now + options_.move_patience - age};
    wishes_due_.Set(wish.dataset, now);
  }
  asked_sizes_ = SavedSizes(snapshot);
}

// ---- leases ----

absl::StatusOr<bool> Controller::AcquireLease(const DatasetId& dataset, const NodeId& node,
                                              std::optional<absl::Duration> keep, absl::Duration now) {
  if (restored_.held()) return Refuse(Cause::kNoControl, restored_.Reason(cluster_));
  RETURN_IF_ERROR(world_.CheckRoom());
  const Lease* held = cluster_.LeaseOf(dataset);
  if (held != nullptr && held->node != node) {
    return Refuse(Cause::kExists, absl::StrCat("there is a lease of ", LeaseText(cluster_, *held), " already"));
  }
  const bool renewed = held != nullptr;
  Lease lease{.dataset = dataset, .node = node};
  if (keep) {
    keep = std::clamp(*keep, -kLongestLease, kLongestLease);
    lease.expires_ms = world_.WallClockMs() + absl::ToInt64Milliseconds(*keep);
  }
  if (!renewed) AddEvent("leased", cluster_.Find(dataset), absl::StrCat("lease of ", LeaseText(cluster_, lease)));
  cluster_.PutLease(lease);
  lease_ends_.Set(dataset, keep ? now + *keep : absl::InfiniteDuration());
  batch_.meta[absl::StrCat(kLeaseMeta, dataset.str())] = ToJson(lease);
  Changed(dataset);
  return renewed;
}

absl::StatusOr<Lease> Controller::ReleaseLease(const DatasetId& dataset) {
  const Lease* held = cluster_.LeaseOf(dataset);
  if (held == nullptr) return Refuse(Cause::kNotFound, absl::StrCat("there is no lease of ", dataset.str()));
  const Lease lease = *held;
  EraseLease(lease, "lease-released");
  return lease;
}

void Controller::EraseLease(const Lease& lease, const std::string& event) {
  AddEvent(event, cluster_.Find(lease.dataset), absl::StrCat("lease of ", LeaseText(cluster_, lease)));
  lease_ends_.Erase(lease.dataset);
  batch_.meta[absl::StrCat(kLeaseMeta, lease.dataset.str())] = "";
  Changed(lease.dataset);
  cluster_.EraseLease(lease.dataset);
}

void Controller::ExpireLeases(absl::Duration now) {
  if (restored_.held()) return;
  for (const DatasetId& id : lease_ends_.TakeDue(now)) {
    const Lease lease = *cluster_.LeaseOf(id);
    EraseLease(lease, "lease-expired");
  }
}

// ---- wishes ----

absl::Status Controller::OnWish(Wish wish, absl::Duration now) {
  if (restored_.held()) return Refuse(Cause::kNoControl, restored_.Reason(cluster_));
  RETURN_IF_ERROR(world_.CheckRoom());
  wish.since_ms = world_.WallClockMs();
  const DatasetId id = wish.dataset;
  batch_.meta[absl::StrCat(kWishMeta, id.str())] = ToJson(wish);
  wishes_[id] = {.wish = std::move(wish), .deadline = now + options_.move_patience};
  Changed(id);
  CheckWish(id, now);
  return absl::OkStatus();
}

const Wish* Controller::WishOf(const DatasetId& dataset) const {
  const auto it = wishes_.find(dataset);
  return it == wishes_.end() ? nullptr : &it->second.wish;
}

std::optional<uint64_t> Controller::AskedSizeOf(const DatasetId& dataset) const {
  const auto it = asked_sizes_.find(dataset);
  if (it == asked_sizes_.end()) return std::nullopt;
  return it->second;
}

void Controller::ForgetWish(const DatasetId& dataset) {
  if (wishes_.erase(dataset) == 0) return;
  wishes_due_.Erase(dataset);
  batch_.meta[absl::StrCat(kWishMeta, dataset.str())] = "";
  Changed(dataset);
}

void Controller::CheckWishes(absl::Duration now) {
  if (restored_.held()) return;
  for (const DatasetId& id : wishes_due_.TakeDue(now)) CheckWish(id, now);
}

void Controller::CheckWish(const DatasetId& id, absl::Duration now) {
  PendingWish& pending = wishes_.at(id);
  const Dataset* dataset = cluster_.Find(id);
  wishes_due_.Set(id, now + kWishLook);
  const WishState state = StateOf(pending.wish, dataset);
  if (state == WishState::kOver) return ForgetWish(id);
  if (state == WishState::kUnderWay) {
    if (pending.refusal.ok()) {
      pending.refusal = Refuse(Cause::kBusy, absl::StrCat("a ", dataset->operation.kind, " of it is under way"));
    }
    return;
  }
  if (!pending.attempt.empty() && dataset->operation.id == pending.attempt) {
    pending.attempt.clear();
    pending.refusal = Refuse(CauseFromName(dataset->operation.cause).value_or(Cause::kIo), dataset->operation.message);
    pending.backoff = std::clamp(pending.backoff * 2, kWishLook, kMaxWishBackoff);
    wishes_due_.Set(id, std::min(now + pending.backoff, std::max(pending.deadline, now + kWishLook)));
    if (now < pending.deadline) return;
  }
  if (now >= pending.deadline) {
    Event& event = AddEvent("refused", dataset,
                            absl::StrCat(pending.wish.node ? "move" : "destroy", " given up after ",
                                         absl::FormatDuration(options_.move_patience), ": ",
                                         pending.refusal.ok() ? "it was never tried" : pending.refusal.message()));
    event.cause = std::string(CauseName(pending.refusal.ok() ? Cause::kTimeout : CauseOf(pending.refusal)));
    RememberRefusal(event);
    return ForgetWish(id);
  }
  rpc::OperationRequest request;
  request.set_id(NodeId::FromRandomHex(world_.RandomHex(16)).str());
  request.mutable_caller()->set_via("the REST API");
  if (pending.wish.node) {
    request.mutable_rename()->set_dataset_id(id.str());
    request.mutable_rename()->set_node_id(pending.wish.node->str());
    request.mutable_rename()->set_name(dataset->name);
  } else {
    request.mutable_destroy()->set_dataset_id(id.str());
  }
  const auto planned = PlanOperation(request, now);
  if (!planned.ok()) {
    pending.refusal = planned.status();
    return;
  }
  pending.attempt = request.id();
  Begin(*planned, request);
}

// ---- what readers must look at again ----

void Controller::Changed(const DatasetId& dataset) {
  if (options_.note_changes) changes_.datasets.insert(dataset);
}

Controller::Changes Controller::TakeChanges() { return std::exchange(changes_, {}); }

}  // namespace flocker
