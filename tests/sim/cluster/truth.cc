#include "truth.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/control/leases.h"
#include "engine/model/codec.h"

namespace flocker::sim {
namespace {

bool AtNode(Phase phase) {
  return phase == Phase::kAttaching || phase == Phase::kAttached || phase == Phase::kDetaching ||
         phase == Phase::kRenewing;
}

}  // namespace

// ---- the array ----

void Truth::Granted(const DatasetId& id, const Grant& grant) {
  const auto [it, fresh] = grants_.try_emplace({id, grant.epoch}, grant);
  if (!fresh && !(it->second == grant)) {
    Violated(absl::StrCat(id.Short(), ": epoch ", grant.epoch, " names two grants, to ", it->second.initiator, " and ",
                          grant.initiator));
  }
  const Dataset* record = durable_.Find(id);
  if (record == nullptr || record->placement.epoch < grant.epoch) {
    Violated(absl::StrCat(id.Short(), ": epoch ", grant.epoch, " is granted and was never committed"));
  }
}

void Truth::LoggedIn(const DatasetId& id, uint64_t epoch) {
  uint64_t& newest = newest_login_[id];
  if (epoch < newest) Violated(absl::StrCat(id.Short(), ": epoch ", epoch, " logs in after epoch ", newest, " did"));
  newest = std::max(newest, epoch);
}

void Truth::MayWrite(const DatasetId& id, const std::set<std::string>& initiators) {
  if (initiators.size() < 2) return;
  Violated(absl::StrCat(id.Short(), ": two may write: ", absl::StrJoin(initiators, " and ")));
}

void Truth::Writes(const DatasetId& id, uint64_t epoch, uint64_t number, const Blocks& blocks) {
  if (epoch < newest_login_[id]) {
    Violated(absl::StrCat(id.Short(), ": a write of epoch ", epoch, " is accepted after epoch ", newest_login_[id],
                          " logged in"));
  }
  if (const uint64_t there = blocks[number % kBlocks]; there > number) {
    Violated(absl::StrCat(id.Short(), ": write ", number, " lands on the newer ", there));
  }
}

void Truth::Formats(const DatasetId& id, uint64_t epoch) {
  if (epoch < newest_login_[id]) Violated(absl::StrCat(id.Short(), ": mkfs of the old epoch ", epoch));
  if (const Dataset* record = durable_.Find(id); record != nullptr && record->formatted) {
    Violated(absl::StrCat(id.Short(), ": mkfs on a formatted volume, epoch ", epoch));
  }
  if (acknowledged_.contains(id)) Violated(absl::StrCat(id.Short(), ": mkfs over acknowledged data"));
}

void Truth::Reads(const DatasetId& id, const Blocks& blocks) {
  const auto it = acknowledged_.find(id);
  if (it == acknowledged_.end()) return;
  for (size_t i = 0; i < kBlocks; ++i) {
    if (blocks[i] < it->second[i]) {
      Violated(absl::StrCat(id.Short(), ": write ", it->second[i], " was acknowledged and is lost; block ", i,
                            " holds ", blocks[i]));
    }
  }
}

// ---- the nodes ----

void Truth::Acknowledged(const DatasetId& id, const std::vector<uint64_t>& numbers) {
  if (numbers.empty()) return;
  Blocks& blocks = acknowledged_[id];
  for (const uint64_t number : numbers) {
    ++acknowledged_writes_;
    uint64_t& newest = blocks[number % kBlocks];
    newest = std::max(newest, number);
  }
}

// ---- control ----

void Truth::Commits(const Batch& batch) {
  uint64_t seq = durable_.last_event();
  for (const Event& event : batch.events) {
    if (event.seq <= seq) Violated(absl::StrCat("event ", event.seq, " comes after ", seq));
    seq = event.seq;
  }
  for (const Dataset& dataset : batch.put) CommitsDataset(dataset);
  CommitsExchanges(batch);
  KeepsLeases(batch);
  for (const DatasetId& id : batch.erase) {
    const Dataset* before = durable_.Find(id);
    if (before != nullptr && before->placement.phase != Phase::kPurging && before->placement.phase != Phase::kTrashed &&
        before->placement.phase != Phase::kProvisioning) {
      Violated(absl::StrCat(id.Short(), ": erased while ", std::string(PhaseName(before->placement.phase))));
    }
    if (before == nullptr || !before->desired.deleted) continue;
    // With the record goes the LUN: a purge that was asked for is done by that, and nothing else may erase.
    if (before->operation.kind == "purge") Ends(before->operation);
    const bool failed_create = before->operation.kind == "create" && !before->operation.cause.empty();
    if (before->operation.kind != "purge" && !failed_create) {
      Violated(absl::StrCat(id.Short(), ": erased, but nobody asked for its purge"));
    }
  }
}

// Nothing is begun that takes a dataset off the node that it is leased to.
void Truth::KeepsLeases(const Batch& batch) {
  for (const Dataset& dataset : batch.put) {
    const Dataset* before = durable_.Find(dataset.id);
    const std::string key = kLeaseMeta + dataset.id.str();
    const auto saved = durable_.meta().find(key);
    if (before == nullptr || saved == durable_.meta().end() || batch.meta.contains(key)) continue;
    const auto lease = LeaseFromJson(saved->second);
    if (!lease.ok()) return Violated(absl::StrCat(key, " cannot be read: ", lease.status().message()));
    const bool leaves =
        dataset.desired.deleted || dataset.desired.leave || dataset.desired.node != before->desired.node;
    const bool begins = dataset.operation.id != before->operation.id;
    if (begins && leaves && !before->desired.deleted && before->desired.node == lease->node) {
      Violated(
          absl::StrCat(dataset.id.Short(), ": a ", dataset.operation.kind, " takes it off the node it is leased to"));
    }
  }
}

// Both or neither, in one batch, which may hold the next operation of either already.
void Truth::CommitsExchanges(const Batch& batch) {
  const auto through = [](const Dataset& dataset, const std::string& operation) {
    const auto is_it = [&](const Operation& each) { return each.id == operation && each.done && each.cause.empty(); };
    return is_it(dataset.operation) || std::any_of(dataset.earlier.begin(), dataset.earlier.end(), is_it);
  };
  for (const Dataset& dataset : batch.put) {
    const Dataset* before = durable_.Find(dataset.id);
    const Operation& operation = dataset.operation;
    const bool was = before != nullptr && before->operation == operation;
    if (operation.kind != "exchange" || was || !through(dataset, operation.id)) continue;
    if (std::none_of(batch.put.begin(), batch.put.end(),
                     [&](const Dataset& each) { return each.id == operation.with && through(each, operation.id); })) {
      Violated(absl::StrCat(dataset.id.Short(), ": changes places without the other"));
    }
  }
}

void Truth::CommitsDataset(const Dataset& dataset) {
  const Dataset* before = durable_.Find(dataset.id);
  const Placement& now = dataset.placement;
  CommitsOperation(before, dataset);
  if (durable_.purged(dataset.id)) Violated(absl::StrCat(dataset.id.Short(), ": comes back from the dead"));
  if (before == nullptr) return;
  const Placement& then = before->placement;
  if (now.epoch < then.epoch) Violated(absl::StrCat(dataset.id.Short(), ": its epoch shrinks"));
  if (before->formatted && !dataset.formatted) Violated(absl::StrCat(dataset.id.Short(), ": forgets its format"));
  const bool released = now.phase == Phase::kRevoking && then.phase != Phase::kRevoking;
  if (released && AtNode(then.phase) && holds_(*then.node, dataset.id, then.mount_epoch)) {
    Violated(absl::StrCat(dataset.id.Short(), ": counts as released while its node holds it, epoch ", then.epoch));
  }
}

void Truth::CommitsOperation(const Dataset* before, const Dataset& dataset) {
  // One batch may hold the end of an operation and the next one already.
  for (const Operation& operation : dataset.earlier) {
    Ends(operation);
    Done& done = operations_[operation.id];
    if (done.dataset == DatasetId()) done.dataset = dataset.id;  // it began in this batch, too
  }
  const Operation& operation = dataset.operation;
  if (operation.id.empty()) return;
  const bool begins = before == nullptr || before->operation.id != operation.id;
  Done& done = operations_[operation.id];
  // What was purged took the memory of its operations with it.
  if (begins && done.succeeded && operation.with != done.dataset && !durable_.purged(done.dataset)) {
    Violated(absl::StrCat("operation ", operation.id.substr(0, 8), " (", operation.kind, ") is executed twice"));
  }
  done.dataset = dataset.id;
  if (operation.done) Ends(operation);
}

void Truth::Ends(const Operation& operation) {
  Done& done = operations_[operation.id];
  if (!operation.cause.empty() || done.succeeded) return;
  if (done.refused) {
    Violated(absl::StrCat("operation ", operation.id.substr(0, 8), " (", operation.kind,
                          ") succeeds although its client was told that it was refused"));
  }
  done.succeeded = true;
}

bool Truth::Overtaken(const std::string& operation_id, const DatasetId& id) const {
  const Dataset* record = durable_.Find(id);
  return record == nullptr || record->operation.id != operation_id;
}

void Truth::Answered(const rpc::OperationRequest& request, const rpc::OperationReply& reply) {
  const auto cause = reply.outcome().cause();
  if (cause == CauseName(Cause::kInProgress)) return;
  Done& done = operations_[request.id()];
  if (cause.empty()) return CheckOk(request, reply);
  // With its record went the memory of what was done to it: to be gone is then the truth.
  if (const auto id = DatasetId::Parse(reply.dataset_id()); id && durable_.purged(*id)) return;
  done.refused = true;
  if (done.succeeded) {
    Violated(absl::StrCat("operation ", request.id().substr(0, 8), " succeeded, its client is told: ", cause, ", ",
                          reply.outcome().message()));
  }
}

void Truth::CheckOk(const rpc::OperationRequest& request, const rpc::OperationReply& reply) {
  ++acknowledged_operations_;
  const auto told = [&](const std::string& lie) {
    Violated(absl::StrCat("operation ", request.id().substr(0, 8), " on ", reply.dataset_id().substr(0, 8),
                          " is answered OK, but ", lie));
  };
  const auto id = DatasetId::Parse(reply.dataset_id());
  if (!id) return told("names no dataset");
  if (request.has_purge()) return durable_.purged(*id) ? void() : told("it is not gone");
  if (!operations_[request.id()].succeeded) return told("its success is not durable");
  if (Overtaken(request.id(), *id)) return;  // a later operation changed it since
  const Dataset& record = *durable_.Find(*id);
  const Phase phase = record.placement.phase;
  if (request.has_create() && record.name != request.create().name()) return told("it has another name");
  if (request.has_change() && record.size < request.change().size()) return told("it is not to be that large");
  if (request.has_rename()) {
    if (record.name != request.rename().name()) return told("it has another name");
    if (record.desired.deleted) return;
    if (record.desired.node != NodeId::Parse(request.rename().node_id())) return told("it goes elsewhere");
    if (AtNode(phase) && record.placement.node != record.desired.node) return told("its old node has not let go");
  }
  if (request.has_restore()) {
    if (record.desired.deleted) return told("it is deleted");
    const auto node = NodeId::Parse(request.restore().node_id());
    if (node && record.desired.node != node) return told("it goes elsewhere");
    if (!request.restore().name().empty() && record.name != request.restore().name())
      return told("it has another name");
  }
  if (request.has_destroy() && AtNode(phase) && record.desired.deleted) return told("its node has not let go");
}

}  // namespace flocker::sim
