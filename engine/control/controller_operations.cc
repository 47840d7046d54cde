// What users ask, and its answers.
#include "engine/control/controller.h"

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/string_generator.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/control/audit.h"
#include "engine/model/operations.h"
#include "engine/model/size.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr absl::Duration kCapacityAge = absl::Seconds(1);

absl::Status OperationStatus(const Operation& operation) {
  if (operation.cause.empty()) return absl::OkStatus();
  return Refuse(CauseFromName(operation.cause).value_or(Cause::kIo), operation.message);
}

// The id of what a create makes follows from the operation's own, so that one that is asked again is known for the same
// also when the record that remembered it is gone.
DatasetId MadeBy(const std::string& operation_id) {
  static const boost::uuids::uuid kSpace = boost::uuids::string_generator()("9d1f7a52-6c0b-4c8e-8e5b-0f5e2a7c4b31");
  const boost::uuids::uuid hash = boost::uuids::name_generator_sha1(kSpace)(operation_id);
  return DatasetId::FromRandomHex(
      absl::BytesToHexString({reinterpret_cast<const char*>(hash.data), sizeof(hash.data)}));
}

// Empty when the client chose one that is none.
DatasetId IdOfCreate(const rpc::OperationRequest& request) {
  const std::string& chosen = request.create().dataset_id();
  return chosen.empty() ? MadeBy(request.id()) : DatasetId::Parse(chosen).value_or(DatasetId());
}

// Which dataset the operation is about; empty for one that is to be created, or when the id is none.
DatasetId SubjectOf(const rpc::OperationRequest& request) {
  const auto parse = [](const std::string& text) { return DatasetId::Parse(text).value_or(DatasetId()); };
  switch (request.kind_case()) {
    case rpc::OperationRequest::kRename:
      return parse(request.rename().dataset_id());
    case rpc::OperationRequest::kDestroy:
      return parse(request.destroy().dataset_id());
    case rpc::OperationRequest::kRestore:
      return parse(request.restore().dataset_id());
    case rpc::OperationRequest::kPurge:
      return parse(request.purge().dataset_id());
    case rpc::OperationRequest::kChange:
      return parse(request.change().dataset_id());
    case rpc::OperationRequest::kExchange:
      return parse(request.exchange().dataset_id());
    default:
      return DatasetId();
  }
}

absl::StatusOr<std::vector<Dataset>> Alone(absl::StatusOr<Dataset> dataset) {
  RETURN_IF_ERROR(dataset.status());
  return std::vector{*std::move(dataset)};
}

// It is admitted by how full the pool is.
bool NeedsSpace(const rpc::OperationRequest& request) {
  return request.has_create() || (request.has_change() && request.change().size() != 0);
}

}  // namespace

void Controller::OnOperation(const rpc::OperationRequest& request, ReplyTo to, absl::Duration now,
                             const Condition& condition) {
  const auto known = request.id().empty() ? std::nullopt : FindOperation(cluster_, request.id());
  if (restored_.held()) {
    return Answer(to, request.id(), DatasetId(), Refuse(Cause::kNoControl, restored_.Reason(cluster_)));
  }
  if (request.has_node_change()) return ChangeNode(request, to);
  if (known) {
    if (known->operation.done) return Answer(to, request.id(), known->dataset, OperationStatus(known->operation));
    return Wait(request.id(), known->dataset, to, now);
  }
  // The record went, and with it the memory of who asked; that it is gone is what a purge wants.
  if (request.has_purge() && purged_.contains(SubjectOf(request))) {
    return Answer(to, request.id(), SubjectOf(request), absl::OkStatus());
  }
  if (request.has_create() && request.create().dataset_id().empty()) {
    const DatasetId made = MadeBy(request.id());
    if (cluster_.Find(made) != nullptr) return Answer(to, request.id(), made, absl::OkStatus());  // forgotten since
    if (purged_.contains(made)) {
      return Answer(to, request.id(), made,
                    Refuse(Cause::kNotFound, "this was asked before, and what it made is gone again"));
    }
  }
  const bool known_space = capacity_ && now - capacity_at_ <= kCapacityAge;
  if (!NeedsSpace(request) || known_space) return Execute(request, to, now, condition);
  if (parked_.empty()) world_.RequestCapacity();
  parked_.push_back({request, to, condition});
}

void Controller::OnCapacity(const absl::StatusOr<PoolCapacity>& capacity, absl::Duration now) {
  const std::vector<Parked> parked = std::exchange(parked_, {});
  next_capacity_ = now + options_.capacity_interval;
  capacity_error_ = capacity.ok() ? "" : std::string(capacity.status().message());
  if (capacity.ok()) {
    capacity_ = *capacity;
    capacity_at_ = now;
  }
  for (const auto& [request, to, condition] : parked) {
    if (capacity.ok()) {
      OnOperation(request, to, now, condition);  // it may have been asked twice meanwhile
    } else {
      const absl::Status status =
          Refuse(Cause::kIo, absl::StrCat("the array cannot be asked for its space: ", capacity.status().message()));
      Answer(to, request.id(), SubjectOf(request), status);
    }
  }
}

std::string Controller::TrashHint() const {
  int count = 0;
  uint64_t promised = 0;
  for (const auto& [id, dataset] : cluster_.datasets()) {
    if (!dataset.desired.deleted) continue;
    ++count;
    promised += dataset.size;
  }
  if (count == 0) return {};
  return absl::StrCat(". The trash holds ", count, count == 1 ? " dataset" : " datasets", ": purging would free ",
                      FormatSize(cluster_.trash_used()), " of the pool (when last looked) and ", FormatSize(promised),
                      " of what is promised");
}

absl::Status Controller::AdmitMore(uint64_t bytes) const {
  const absl::Status admitted =
      Admit(cluster_.promised(), bytes, *capacity_, options_.overcommit, options_.pool_reserve);
  return admitted.ok() ? admitted : Refuse(CauseOf(admitted), absl::StrCat(admitted.message(), TrashHint()));
}

absl::StatusOr<std::vector<Dataset>> Controller::PlanOperation(const rpc::OperationRequest& request,
                                                               absl::Duration now) {
  if (request.id().empty()) return Refuse(Cause::kInvalid, "an operation without an id");
  RETURN_IF_ERROR(world_.CheckRoom());
  switch (request.kind_case()) {
    case rpc::OperationRequest::kCreate: {
      const rpc::Create& create = request.create();
      CreateWish wish;
      wish.operation_id = request.id();
      wish.id = IdOfCreate(request);
      if (wish.id.empty()) return Refuse(Cause::kInvalid, "the id for a new dataset is not a UUID");
      if (cluster_.Find(wish.id) != nullptr || purged_.contains(wish.id)) {
        return Refuse(Cause::kExists, absl::StrCat("the id ", wish.id.str(), " is, or was, another dataset's"));
      }
      wish.node = NodeId::Parse(create.node_id()).value_or(NodeId());
      wish.name = create.name();
      wish.size = create.size();
      wish.metadata = {create.metadata().begin(), create.metadata().end()};
      wish.root_uid = create.root_uid();
      wish.root_gid = create.root_gid();
      wish.root_mode = create.root_mode();
      wish.now_ms = world_.WallClockMs();
      wish.v1 = create.v1();
      ASSIGN_OR_RETURN(Dataset dataset, PlanCreate(cluster_, wish));
      RETURN_IF_ERROR(AdmitMore(dataset.size));
      return Alone(std::move(dataset));
    }
    case rpc::OperationRequest::kRename: {
      const rpc::Rename& rename = request.rename();
      return Alone(PlanRename(cluster_, {.operation_id = request.id(),
                                         .id = SubjectOf(request),
                                         .node = NodeId::Parse(rename.node_id()).value_or(NodeId()),
                                         .name = rename.name(),
                                         .force = rename.force()}));
    }
    case rpc::OperationRequest::kDestroy:
      return Alone(PlanDestroy(cluster_, {.operation_id = request.id(),
                                          .id = SubjectOf(request),
                                          .force = request.destroy().force(),
                                          .now_ms = world_.WallClockMs(),
                                          .trash_clock_ms = retention_.Clock(now)}));
    case rpc::OperationRequest::kRestore: {
      const rpc::Restore& restore = request.restore();
      RestoreWish wish{.operation_id = request.id(), .id = SubjectOf(request), .name = restore.name()};
      if (!restore.node_id().empty()) wish.node = NodeId::Parse(restore.node_id()).value_or(NodeId());
      return Alone(PlanRestore(cluster_, wish));
    }
    case rpc::OperationRequest::kPurge:
      return Alone(PlanPurge(cluster_, {.operation_id = request.id(), .id = SubjectOf(request)}));
    case rpc::OperationRequest::kChange: {
      const rpc::Change& change = request.change();
      ChangeWish wish{.operation_id = request.id(), .id = SubjectOf(request), .size = change.size()};
      if (change.has_protect()) wish.protect = change.protect();
      wish.metadata = {change.metadata().begin(), change.metadata().end()};
      wish.removed = {change.removed_metadata().begin(), change.removed_metadata().end()};
      if (change.keys() == rpc::Change::NEW) wish.keys = ChangeWish::Keys::kNew;
      if (change.keys() == rpc::Change::PRESENT) wish.keys = ChangeWish::Keys::kPresent;
      ASSIGN_OR_RETURN(Dataset dataset, PlanChange(cluster_, wish));
      const uint64_t before = cluster_.Find(dataset.id)->size;
      if (dataset.size > before) RETURN_IF_ERROR(AdmitMore(dataset.size - before));
      return Alone(std::move(dataset));
    }
    case rpc::OperationRequest::kExchange: {
      const rpc::Exchange& exchange = request.exchange();
      ASSIGN_OR_RETURN(auto both,
                       PlanExchange(cluster_, {.operation_id = request.id(),
                                               .one = SubjectOf(request),
                                               .two = DatasetId::Parse(exchange.other_id()).value_or(DatasetId()),
                                               .force = exchange.force()}));
      return std::vector{std::move(both.first), std::move(both.second)};
    }
    default:
      return Refuse(Cause::kInvalid, "an operation of a kind this control service does not know");
  }
}

void Controller::Wait(const std::string& operation_id, const DatasetId& dataset, ReplyTo to, absl::Duration now) {
  Waiter& waiter = waiters_[operation_id];
  waiter.dataset = dataset;
  waiter.to.push_back(to);
  waiters_due_.Set(operation_id, now + options_.operation_timeout);
}

void Controller::Execute(const rpc::OperationRequest& request, ReplyTo to, absl::Duration now,
                         const Condition& condition) {
  if (condition != nullptr) {
    if (const absl::Status status = condition(); !status.ok()) {
      return Answer(to, request.id(), SubjectOf(request), status);
    }
  }
  const auto planned = PlanOperation(request, now);
  if (!planned.ok()) {
    const DatasetId id = SubjectOf(request);
    Event& event = AddEvent("refused", cluster_.Find(id),
                            absl::StrCat(planned.status().message(), " (asked ", Audit(request.caller()), ")"));
    if (event.name.empty()) event.name = request.create().name();
    event.cause = std::string(CauseName(CauseOf(planned.status())));
    RememberRefusal(event);
    return Answer(to, request.id(), id, planned.status());
  }
  for (const Dataset& dataset : *planned) {  // what was said last of its place counts
    const Dataset* before = cluster_.Find(dataset.id);
    const bool settled =
        request.has_exchange() || (before != nullptr && (before->desired.node != dataset.desired.node ||
                                                         before->desired.deleted != dataset.desired.deleted));
    if (!settled || WishOf(dataset.id) == nullptr) continue;
    AddEvent("given-up", before, "what was asked by the REST API gives way to what is asked now");
    ForgetWish(dataset.id);
  }
  Begin(*planned, request);
  if (request.has_create() && request.create().v1()) {
    const DatasetId& id = planned->front().id;
    asked_sizes_[id] = request.create().size();
    batch_.meta[absl::StrCat(kAskedSizeMeta, id.str())] = absl::StrCat(request.create().size());
  }
  Wait(request.id(), planned->front().id, to, now);
  AnswerIfDone(planned->front());
}

void Controller::Begin(const std::vector<Dataset>& planned, const rpc::OperationRequest& request) {
  for (const Dataset& dataset : planned) {
    const Dataset* before = cluster_.Find(dataset.id);
    work_[dataset.id].timeline.clear();
    AddEvent(dataset.operation.kind, &dataset,
             absl::StrCat(dataset.operation.kind, " of ", before != nullptr ? before->name : dataset.name, " asked ",
                          Audit(request.caller())));
  }
  for (const Dataset& dataset : planned) PutDataset(dataset);
}

void Controller::AnswerIfDone(const Dataset& dataset) {
  if (!dataset.operation.done) return;
  const auto it = waiters_.find(dataset.operation.id);
  if (it == waiters_.end()) return;
  for (const ReplyTo& to : it->second.to) {
    Answer(to, dataset.operation.id, dataset.id, OperationStatus(dataset.operation));
  }
  waiters_due_.Erase(it->first);
  waiters_.erase(it);
}

void Controller::Answer(const ReplyTo& to, const std::string& operation_id, const DatasetId& dataset,
                        const absl::Status& status) {
  rpc::OperationReply reply;
  reply.set_id(operation_id);
  reply.set_dataset_id(dataset.str());
  *reply.mutable_outcome() = ToOutcome(status);
  replies_.emplace_back(to, std::move(reply));
}

}  // namespace flocker
