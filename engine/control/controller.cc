#include "engine/control/controller.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/control/array_audit.h"
#include "engine/model/names.h"
#include "engine/model/operations.h"
#include "engine/model/size.h"
#include "engine/rpc/channel.h"
#include "engine/store/backup.h"

namespace flocker {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(5);
constexpr absl::Duration kCapacityAge = absl::Seconds(1);
constexpr absl::Duration kShowTimeout = absl::Seconds(1);
constexpr absl::Duration kVanishWindow = absl::Seconds(30);  // DESIGN §4, the mass-failure valve
constexpr size_t kValveNodes = 4;

struct ReportRow {
  rpc::Report::Kind report;
  OutcomeKind outcome;
};
constexpr std::array<ReportRow, 7> kReports = {{
    {rpc::Report::FORMATTED, OutcomeKind::kFormatted},
    {rpc::Report::ATTACHED, OutcomeKind::kAttached},
    {rpc::Report::RELEASED, OutcomeKind::kReleased},
    {rpc::Report::BUSY, OutcomeKind::kBusy},
    {rpc::Report::FAILED, OutcomeKind::kFailed},
    {rpc::Report::SESSION_LOST, OutcomeKind::kSessionLost},
    {rpc::Report::NOT_HELD, OutcomeKind::kNotHeld},
}};

bool HeldByNode(Phase phase) {
  return phase == Phase::kAttaching || phase == Phase::kAttached || phase == Phase::kDetaching ||
         phase == Phase::kRenewing;
}

// What the record beside the LUN tells whoever rebuilds a lost store.
bool SameDescription(const Dataset& a, const Dataset& b) {
  return a.name == b.name && a.metadata == b.metadata && a.size == b.size && a.formatted == b.formatted &&
         a.desired.deleted == b.desired.deleted && a.desired.node == b.desired.node && a.protect == b.protect &&
         a.placement.epoch == b.placement.epoch;
}

absl::Status OperationStatus(const Operation& operation) {
  if (operation.cause.empty()) return absl::OkStatus();
  return Refuse(CauseFromName(operation.cause).value_or(Cause::kIo), operation.message);
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
    default:
      return DatasetId();
  }
}

std::string Audit(const rpc::Caller& caller) {
  return absl::StrCat("by uid ", caller.uid(), " pid ", caller.pid(),
                      caller.container().empty() ? "" : absl::StrCat(" in container ", caller.container()), " through ",
                      caller.via().empty() ? "an unnamed client" : caller.via());
}

}  // namespace

Controller::Controller(const ControllerOptions& options, const Snapshot& snapshot, World& world, absl::Duration now)
    : options_(options),
      world_(world),
      purged_(snapshot.tombstones.begin(), snapshot.tombstones.end()),
      next_heartbeat_(now),
      restored_(snapshot),
      next_list_(now),
      event_seq_(snapshot.last_event) {
  for (const Node& node : snapshot.nodes) {
    cluster_.PutNode(node);
    cluster_.SetLiveness(node.id, Liveness::kSilent);
    // Nobody counts as down for twice the timeout after a start: they may not have found us yet.
    last_heard_[node.id] = now + options_.heartbeat_timeout;
  }
  for (const Dataset& dataset : snapshot.datasets) {
    cluster_.Put(dataset);
    dirty_.insert(dataset.id);
  }
}

// ---- agents ----

void Controller::OnAgentMessage(SessionId session, const rpc::AgentUp& message, absl::Duration now) {
  if (message.has_hello()) return OnHello(session, message.hello(), now);
  const auto node = sessions_.NodeOf(session);
  if (!node) return;  // refused or closed; what was still under way means nothing
  last_heard_[*node] = now;
  switch (message.kind_case()) {
    case rpc::AgentUp::kReport:
      return OnReport(*node, message.report(), now);
    case rpc::AgentUp::kOperation:
      return OnOperation(message.operation(), {.session = session}, now);
    case rpc::AgentUp::kRefusal:
      return OnRefusal(*node, message.refusal());
    case rpc::AgentUp::kHeartbeat:
      return sessions_.Shown(session, message.heartbeat().view_version());
    case rpc::AgentUp::kNotice:
      return OnNotice(DatasetId::Parse(message.notice().dataset_id()).value_or(DatasetId()), message.notice().kind(),
                      message.notice().message());
    default:
      return;
  }
}

absl::Status Controller::CheckHello(const Node& node) const {
  if (node.id.empty()) return Refuse(Cause::kInvalid, "the agent's node id is not a UUID");
  RETURN_IF_ERROR(CheckName(node.name));
  if (const Node* same_name = cluster_.FindNodeName(node.name); same_name != nullptr && same_name->id != node.id) {
    return Refuse(Cause::kExists,
                  absl::StrCat("a node named ", node.name, " is known with another id (", same_name->id.str(),
                               "); start this agent with that node's root "
                               "directory, or under another name"));
  }
  if (const Node* same_id = cluster_.FindNode(node.id); same_id != nullptr && same_id->name != node.name) {
    return Refuse(Cause::kExists, absl::StrCat("node id ", node.id.str(), " is known under the name ", same_id->name));
  }
  if (sessions_.SessionOf(node.id)) {
    return Refuse(Cause::kExists, absl::StrCat("an agent for node ", node.name, " is connected already"));
  }
  return absl::OkStatus();
}

void Controller::OnHello(SessionId session, const rpc::AgentHello& hello, absl::Duration now) {
  Node node;
  node.id = NodeId::Parse(hello.node().id()).value_or(NodeId());
  node.name = hello.node().name();
  node.address = hello.node().address();
  node.boot_id = hello.boot_id();
  rpc::AgentDown down;
  absl::Status status = CheckHello(node);
  if (status.ok() && restored_.held()) {
    if (restored_.Hear(cluster_, node.id, hello)) {
      Confirm(now);
    } else {
      status = Refuse(Cause::kNoControl, restored_.Reason(cluster_));
    }
  }
  if (!status.ok()) {
    spdlog::warn("refused agent {}: {}", node.name, std::string(status.message()));
    *down.mutable_refused() = ToOutcome(status);
    messages_.emplace_back(session, down);
    closing_.push_back(session);
    return;
  }
  const Node* known = cluster_.FindNode(node.id);
  if (known == nullptr || !(*known == node)) {
    cluster_.PutNode(node);
    batch_.put_nodes.push_back(node);
    sessions_.Changed(node.id);
  }
  sessions_.Open(session, node.id);
  last_heard_[node.id] = now;
  SetLiveness(node.id, Liveness::kConnected);
  *down.mutable_welcome()->mutable_node() = ToView(node, Liveness::kConnected);
  down.mutable_welcome()->set_heartbeat_timeout(absl::ToDoubleSeconds(options_.heartbeat_timeout));
  messages_.emplace_back(session, down);
  Event& event = AddEvent("connected", nullptr, absl::StrCat("agent of node ", node.name, " connected"));
  event.node = node.id;
  ReconcileHeld(session, node.id, hello, now);
}

// Everybody was heard, and nothing is newer than the restored state: it goes on as after any restart.
void Controller::Confirm(absl::Duration now) {
  for (const auto& [id, node] : cluster_.nodes()) {
    SetLiveness(id, Liveness::kSilent);
    last_heard_[id] = now + options_.heartbeat_timeout;
  }
  batch_.meta[kRestoredMeta] = "";
  AddEvent("restored", nullptr, "the restored state is confirmed: no node holds anything newer");
}

void Controller::ReconcileHeld(SessionId session, const NodeId& node, const rpc::AgentHello& hello,
                               absl::Duration now) {
  std::set<DatasetId> held;
  for (const rpc::Held& item : hello.held()) {
    const auto id = DatasetId::Parse(item.dataset_id());
    const Dataset* dataset = id ? cluster_.Find(*id) : nullptr;
    const bool rightful = dataset != nullptr && dataset->placement.node == node &&
                          dataset->placement.mount_epoch == item.mount_epoch() && HeldByNode(dataset->placement.phase);
    if (rightful) {
      held.insert(*id);
    } else {
      SendDrop(session, item.dataset_id(), item.epoch());
    }
  }
  const std::set<DatasetId> concerned = cluster_.DatasetsOf(node);
  for (const DatasetId& id : concerned) {
    Work& work = work_[id];
    if (work.running && !IsArrayAction(work.running->kind)) work.running.reset();  // it may have got lost
    work.retry_at = {};
    dirty_.insert(id);
    const Dataset& dataset = *cluster_.Find(id);
    const Phase phase = dataset.placement.phase;
    if (dataset.placement.node != node || held.contains(id)) continue;
    if (phase == Phase::kAttaching || phase == Phase::kAttached || phase == Phase::kRenewing) {
      ApplyOutcome({.kind = OutcomeKind::kNotHeld,
                    .dataset = id,
                    .epoch = dataset.placement.epoch,
                    .message = "the node came back without it"},
                   now);
    }
  }
}

void Controller::OnAgentGone(SessionId session, absl::Duration now) {
  const auto node = sessions_.NodeOf(session);
  sessions_.Close(session);
  for (auto& [id, waiter] : waiters_) {
    std::erase_if(waiter.to, [&](const ReplyTo& to) { return to.session == session; });
  }
  if (!node || sessions_.SessionOf(*node)) return;
  last_heard_[*node] = std::min(last_heard_[*node], now);
  SetLiveness(*node, Liveness::kSilent);
  Event& event = AddEvent("disconnected", nullptr,
                          absl::StrCat("node ", cluster_.FindNode(*node)->name, " is no longer connected"));
  event.node = *node;
}

void Controller::OnReport(const NodeId& node, const rpc::Report& report, absl::Duration now) {
  const auto id = DatasetId::Parse(report.dataset_id());
  const Dataset* dataset = id ? cluster_.Find(*id) : nullptr;
  const auto session = sessions_.SessionOf(node);
  if (report.kind() == rpc::Report::DROPPED) {
    Event& event = AddEvent("dropped", dataset, absl::StrCat("a fenced attachment was cleaned up: ", report.message()));
    event.node = node;
    return;
  }
  if (dataset == nullptr || dataset->placement.node != node) {
    const bool holds = report.kind() != rpc::Report::RELEASED && report.kind() != rpc::Report::NOT_HELD;
    if (session && holds) SendDrop(*session, report.dataset_id(), report.epoch());
    return;
  }
  // An older epoch's means nothing any more, but for the loss of the very mount: a renewal brings none back.
  const bool lost_mount = report.kind() == rpc::Report::NOT_HELD && report.epoch() >= dataset->placement.mount_epoch;
  if (report.epoch() != dataset->placement.epoch && !lost_mount) return;
  Work& work = work_[*id];
  for (const rpc::TimelineStep& step : report.timeline()) {
    work.timeline.push_back({.step = step.step(), .duration_us = step.duration_us()});
  }
  if (work.running && !IsArrayAction(work.running->kind)) work.running.reset();
  for (const ReportRow& row : kReports) {
    if (row.report != report.kind()) continue;
    ApplyOutcome({.kind = row.outcome,
                  .dataset = *id,
                  .epoch = dataset->placement.epoch,
                  .message = report.message(),
                  .block_size = report.block_size()},
                 now);
  }
}

void Controller::OnRefusal(const NodeId& node, const rpc::Refusal& refusal) {
  const auto id = DatasetId::Parse(refusal.dataset_id());
  Event& event = AddEvent("refused", id ? cluster_.Find(*id) : nullptr, refusal.message());
  if (event.name.empty()) event.name = refusal.name();
  event.node = node;
  event.cause = refusal.cause();
  RememberRefusal(event);
}

void Controller::OnNotice(const DatasetId& dataset, const std::string& kind, const std::string& message) {
  if (kind == "stray") ++strays_;  // an agent's reconciler found one
  AddEvent(kind, cluster_.Find(dataset), message);
}

void Controller::SetLiveness(const NodeId& node, Liveness liveness) {
  if (liveness == Liveness::kConnected) {
    vanished_at_.erase(node);
  } else if (cluster_.LivenessOf(node) == Liveness::kConnected || !vanished_at_.contains(node)) {
    vanished_at_[node] = last_heard_[node];
  }
  cluster_.SetLiveness(node, liveness);
  sessions_.Changed(node);
  for (const DatasetId& id : cluster_.DatasetsOf(node)) dirty_.insert(id);
  UpdateValve();
}

void Controller::UpdateValve() {
  // The most nodes that are away now and vanished within one window.
  size_t together = 0;
  for (const auto& [node, at] : vanished_at_) {
    const absl::Duration from = at;
    together = std::max(
        together, static_cast<size_t>(std::count_if(vanished_at_.begin(), vanished_at_.end(), [&](const auto& other) {
          return other.second >= from && other.second <= from + kVanishWindow;
        })));
  }
  const size_t nodes = cluster_.nodes().size();
  const bool closed = nodes >= kValveNodes && together * 3 > nodes;
  if (closed != cluster_.valve_closed()) {
    AddEvent("valve", nullptr,
             closed ? absl::StrCat(together, " of ", nodes, " nodes vanished together: fences need --force")
                    : "enough nodes are back: fences are allowed again");
  }
  cluster_.set_valve_closed(closed);
}

// ---- operations ----

void Controller::OnOperation(const rpc::OperationRequest& request, ReplyTo to, absl::Duration now) {
  const auto known = request.id().empty() ? std::nullopt : FindOperation(cluster_, request.id());
  if (restored_.held()) {
    return Answer(to, request.id(), DatasetId(), Refuse(Cause::kNoControl, restored_.Reason(cluster_)));
  }
  if (known) {
    if (known->operation.done) return Answer(to, request.id(), known->dataset, OperationStatus(known->operation));
    return Wait(request.id(), known->dataset, to, now);
  }
  // The record went, and with it the memory of who asked; that it is gone is what a purge wants.
  if (request.has_purge() && purged_.contains(SubjectOf(request))) {
    return Answer(to, request.id(), SubjectOf(request), absl::OkStatus());
  }
  if (!request.has_create() || (capacity_ && now - capacity_at_ <= kCapacityAge)) return Execute(request, to, now);
  if (parked_creates_.empty()) world_.RequestCapacity();
  parked_creates_.push_back({request, to});
}

void Controller::OnCapacity(const absl::StatusOr<PoolCapacity>& capacity, absl::Duration now) {
  const std::vector<ParkedCreate> parked = std::exchange(parked_creates_, {});
  if (capacity.ok()) {
    capacity_ = *capacity;
    capacity_at_ = now;
  }
  for (const ParkedCreate& create : parked) {
    if (capacity.ok()) {
      OnOperation(create.request, create.to, now);  // it may have been asked twice meanwhile
    } else {
      const absl::Status status =
          Refuse(Cause::kIo, absl::StrCat("the array cannot be asked for its space: ", capacity.status().message()));
      Answer(create.to, create.request.id(), DatasetId(), status);
    }
  }
}

absl::StatusOr<Dataset> Controller::PlanOperation(const rpc::OperationRequest& request) {
  if (request.id().empty()) return Refuse(Cause::kInvalid, "an operation without an id");
  RETURN_IF_ERROR(world_.CheckRoom());
  switch (request.kind_case()) {
    case rpc::OperationRequest::kCreate: {
      const rpc::Create& create = request.create();
      CreateWish wish;
      wish.operation_id = request.id();
      wish.id = DatasetId::FromRandomHex(world_.RandomHex(16));
      wish.node = NodeId::Parse(create.node_id()).value_or(NodeId());
      wish.name = create.name();
      wish.size = create.size();
      wish.metadata = {create.metadata().begin(), create.metadata().end()};
      wish.root_uid = create.root_uid();
      wish.root_gid = create.root_gid();
      wish.root_mode = create.root_mode();
      wish.now_ms = world_.WallClockMs();
      ASSIGN_OR_RETURN(Dataset dataset, PlanCreate(cluster_, wish));
      RETURN_IF_ERROR(Admit(cluster_.promised(), dataset.size, *capacity_, options_.overcommit, options_.pool_reserve));
      return dataset;
    }
    case rpc::OperationRequest::kRename: {
      const rpc::Rename& rename = request.rename();
      return PlanRename(cluster_, {.operation_id = request.id(),
                                   .id = SubjectOf(request),
                                   .node = NodeId::Parse(rename.node_id()).value_or(NodeId()),
                                   .name = rename.name(),
                                   .force = rename.force()});
    }
    case rpc::OperationRequest::kDestroy:
      return PlanDestroy(cluster_, {.operation_id = request.id(),
                                    .id = SubjectOf(request),
                                    .force = request.destroy().force(),
                                    .now_ms = world_.WallClockMs()});
    case rpc::OperationRequest::kRestore: {
      const rpc::Restore& restore = request.restore();
      RestoreWish wish{.operation_id = request.id(), .id = SubjectOf(request), .name = restore.name()};
      if (!restore.node_id().empty()) wish.node = NodeId::Parse(restore.node_id()).value_or(NodeId());
      return PlanRestore(cluster_, wish);
    }
    case rpc::OperationRequest::kPurge:
      return PlanPurge(cluster_, {.operation_id = request.id(), .id = SubjectOf(request)});
    default:
      return Refuse(Cause::kInvalid, "an operation of a kind this control service does not know");
  }
}

void Controller::Wait(const std::string& operation_id, const DatasetId& dataset, ReplyTo to, absl::Duration now) {
  Waiter& waiter = waiters_[operation_id];
  waiter.dataset = dataset;
  waiter.to.push_back(to);
  waiter.deadline = now + options_.operation_timeout;
}

void Controller::Execute(const rpc::OperationRequest& request, ReplyTo to, absl::Duration now) {
  auto planned = PlanOperation(request);
  if (!planned.ok()) {
    const DatasetId id = SubjectOf(request);
    Event& event = AddEvent("refused", cluster_.Find(id),
                            absl::StrCat(planned.status().message(), " (asked ", Audit(request.caller()), ")"));
    if (event.name.empty()) event.name = request.create().name();
    event.cause = std::string(CauseName(CauseOf(planned.status())));
    RememberRefusal(event);
    return Answer(to, request.id(), id, planned.status());
  }
  const Dataset* before = cluster_.Find(planned->id);
  work_[planned->id].timeline.clear();
  AddEvent(planned->operation.kind, &*planned,
           absl::StrCat(planned->operation.kind, " of ", before != nullptr ? before->name : planned->name, " asked ",
                        Audit(request.caller())));
  PutDataset(*planned);
  Wait(request.id(), planned->id, to, now);
  AnswerIfDone(*planned);
}

void Controller::AnswerIfDone(const Dataset& dataset) {
  if (!dataset.operation.done) return;
  const auto it = waiters_.find(dataset.operation.id);
  if (it == waiters_.end()) return;
  for (const ReplyTo& to : it->second.to) {
    Answer(to, dataset.operation.id, dataset.id, OperationStatus(dataset.operation));
  }
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

// ---- outcomes ----

void Controller::OnArrayOutcome(const Action& action, const StepOutcome& outcome, absl::Duration took,
                                absl::Duration now) {
  Work& work = work_[action.dataset];
  work.running.reset();
  work.timeline.push_back(
      {.step = std::string(ActionName(action.kind)), .duration_us = absl::ToInt64Microseconds(took)});
  ApplyOutcome(outcome, now);
  dirty_.insert(action.dataset);
}

void Controller::OnArrayRestart(absl::Duration now) {
  if (restored_.held()) return;
  AddEvent("array-restarted", nullptr, "the array forgot its exports; every grant is renewed");
  for (const auto& [id, dataset] : std::map<DatasetId, Dataset>(cluster_.datasets())) {
    if (!HeldByNode(dataset.placement.phase)) continue;
    ApplyOutcome({.kind = OutcomeKind::kSessionLost,
                  .dataset = id,
                  .epoch = dataset.placement.epoch,
                  .message = "the array restarted"},
                 now);
  }
}

void Controller::OnArrayList(const absl::StatusOr<std::vector<ArrayEntry>>& entries, absl::Duration now) {
  const std::set<DatasetId> touched = std::exchange(touched_, std::nullopt).value_or(std::set<DatasetId>());
  next_list_ = now + options_.reconcile_interval;
  if (!entries.ok()) {
    spdlog::warn("the array cannot be compared with the records: {}", std::string(entries.status().message()));
    return;
  }
  std::set<DatasetId> missing;
  for (const auto& [id, dataset] : cluster_.datasets()) missing.insert(id);
  for (const ArrayEntry& entry : *entries) {
    missing.erase(entry.id);
    if (!touched.contains(entry.id)) Reconcile(entry.id, entry, now);
  }
  for (const DatasetId& id : missing) {
    if (!touched.contains(id)) Reconcile(id, ArrayEntry{.id = id}, now);
  }
}

void Controller::Reconcile(const DatasetId& id, const ArrayEntry& entry, absl::Duration now) {
  const Dataset* dataset = cluster_.Find(id);
  for (const ArrayFinding& finding : CompareWithArray(dataset, entry)) {
    switch (finding.kind) {
      case ArrayFinding::Kind::kStrayExport:
      case ArrayFinding::Kind::kStrayInitiator:
        ++strays_;
        AddEvent("stray", dataset, finding.message);
        strays_to_cut_.emplace_back(id, finding.initiator);
        break;
      case ArrayFinding::Kind::kLostExport:
        ApplyOutcome({.kind = OutcomeKind::kSessionLost,
                      .dataset = id,
                      .epoch = dataset->placement.epoch,
                      .message = finding.message},
                     now);
        break;
      case ArrayFinding::Kind::kLostLun:
      case ArrayFinding::Kind::kUnknownLun:
        if (reported_.insert(id).second) AddEvent("inconsistent", dataset, finding.message);
        break;
    }
  }
}

void Controller::ApplyOutcome(const StepOutcome& outcome, absl::Duration now) {
  const Dataset* found = cluster_.Find(outcome.dataset);
  if (found == nullptr) return;
  dirty_.insert(outcome.dataset);
  Work& work = work_[outcome.dataset];
  if (outcome.kind == OutcomeKind::kFailed) {
    work.backoff = std::clamp(work.backoff * 2, kFirstBackoff, kMaxBackoff);
    work.retry_at = now + work.backoff;
  } else {
    work.backoff = {};
    work.retry_at = {};
  }
  const Dataset before = *found;
  const auto applied = Apply(before, outcome, DrawFresh());
  if (!applied) return;
  Note(before, applied->dataset, outcome);
  NoteLogins(applied->dataset, now);
  // A node that hears us may not have noticed: it would wait for a grant that is not to come.
  const auto holder = before.placement.node ? sessions_.SessionOf(*before.placement.node) : std::nullopt;
  if (outcome.kind == OutcomeKind::kFenced && holder) SendDrop(*holder, before.id.str(), before.placement.epoch);
  AnswerIfDone(applied->dataset);
  if (!applied->gone) return PutDataset(applied->dataset);
  cluster_.Erase(before.id);
  put_.erase(before.id);
  records_.erase(before.id);
  work_.erase(before.id);
  batch_.erase.push_back(before.id);
  batch_.tombstones.push_back(before.id);
  purged_.insert(before.id);
  sessions_.Changed(before.id);
}

// A renewal that was granted is used within moments by a node that can reach the array.
void Controller::NoteLogins(const Dataset& dataset, absl::Duration now) {
  Work& work = work_[dataset.id];
  if (dataset.placement.phase != Phase::kRenewing) {
    work.logging_in_since.reset();
    cluster_.SetCutOff(dataset.id, false);
  } else if (dataset.placement.granted && !work.logging_in_since) {
    work.logging_in_since = now;
  }
}

void Controller::CheckLogins(absl::Duration now) {
  for (auto& [id, work] : work_) {
    if (!work.logging_in_since || cluster_.CutOff(id)) continue;
    const Dataset& dataset = *cluster_.Find(id);
    if (cluster_.LivenessOf(*dataset.placement.node) != Liveness::kConnected) {
      work.logging_in_since = now;  // it cannot know of its grant
    } else if (now - *work.logging_in_since >= options_.heartbeat_timeout) {
      cluster_.SetCutOff(id, true);
      dirty_.insert(id);
      AddEvent("cut-off", &dataset,
               absl::StrCat(cluster_.FindNode(*dataset.placement.node)->name,
                            " is connected but has not reached the array for ",
                            absl::FormatDuration(options_.heartbeat_timeout), ": mv and rmdir off it will fence it"));
    }
  }
}

void Controller::Note(const Dataset& before, const Dataset& after, const StepOutcome& outcome) {
  std::vector<StepTime>& timeline = work_[after.id].timeline;
  const auto add = [&](const std::string& kind, const std::string& message) -> Event& {
    Event& event = AddEvent(kind, &after, message);
    if (before.placement.node) event.node = *before.placement.node;
    return event;
  };
  const Node* node = before.placement.node ? cluster_.FindNode(*before.placement.node) : nullptr;
  const std::string on = node != nullptr ? node->name : "?";
  switch (outcome.kind) {
    case OutcomeKind::kCreated:
      add("created", absl::StrCat("its LUN of ", FormatSize(after.size), " exists")).timeline = timeline;
      return;
    case OutcomeKind::kAttached: {
      const bool renewed = before.placement.phase == Phase::kRenewing;
      add(renewed ? "renewed" : "attached",
          renewed ? absl::StrCat("logged in again on ", on) : absl::StrCat("mounted on ", on))
          .timeline = std::exchange(timeline, {});
      return;
    }
    case OutcomeKind::kReleased:
      add("released", absl::StrCat(on, " let go of it")).timeline = timeline;
      return;
    case OutcomeKind::kFenced:
      add("fenced", absl::StrCat(on, " was cut off from it")).timeline = timeline;
      return;
    case OutcomeKind::kBusy: {
      Event& event = add("refused", absl::StrCat(before.operation.kind, " refused: ", outcome.message));
      event.cause = std::string(CauseName(Cause::kBusy));
      event.timeline = std::exchange(timeline, {});
      RememberRefusal(event);
      return;
    }
    case OutcomeKind::kCreateFailed: {
      Event& event = add("refused", absl::StrCat("its LUN could not be made: ", outcome.message));
      event.cause = std::string(CauseName(outcome.cause));
      RememberRefusal(event);
      return;
    }
    case OutcomeKind::kSessionLost:
      add("session-lost", absl::StrCat("the session from ", on, " is gone: ", outcome.message));
      return;
    case OutcomeKind::kNotHeld:
      add("not-held", absl::StrCat(on, " does not hold it any more: ", outcome.message));
      return;
    case OutcomeKind::kDestroyed:
      add("purged", "its LUN is deleted");
      return;
    case OutcomeKind::kFailed:
      add("failed", absl::StrCat(PhaseName(before.placement.phase).data(), ": ", outcome.message));
      return;
    case OutcomeKind::kGranted:
    case OutcomeKind::kRevoked:
    case OutcomeKind::kFormatted:
      return;
  }
}

// ---- planning ----

void Controller::PutDataset(Dataset dataset) {
  const Dataset* before = cluster_.Find(dataset.id);
  const bool exists_on_array =
      dataset.placement.phase != Phase::kProvisioning && dataset.placement.phase != Phase::kPurging;
  if (before != nullptr && exists_on_array && !SameDescription(*before, dataset)) records_.insert(dataset.id);
  if (before != nullptr && before->placement.phase != Phase::kTrashed && dataset.placement.phase == Phase::kTrashed) {
    Event& event = AddEvent("trashed", &dataset, "destroyed; its LUN is kept");
    event.timeline = std::exchange(work_[dataset.id].timeline, {});
  }
  put_.insert(dataset.id);
  dirty_.insert(dataset.id);
  sessions_.Changed(dataset.id);
  cluster_.Put(std::move(dataset));
}

void Controller::PlanDirty(absl::Duration now) {
  if (restored_.held()) return;
  while (!dirty_.empty()) {
    const DatasetId id = *dirty_.begin();
    dirty_.erase(dirty_.begin());
    Plan(id, now);
  }
}

void Controller::Plan(const DatasetId& id, absl::Duration now) {
  const Dataset* dataset = cluster_.Find(id);
  if (dataset == nullptr) return;
  const Step step = NextStep(*dataset, cluster_, DrawFresh());
  if (step.commit) return PutDataset(*step.commit);  // dirty again: planned again
  if (!step.action) return;
  Work& work = work_[id];
  if (work.running == step.action) return;
  if (work.running && IsArrayAction(work.running->kind)) return;  // its outcome comes first
  if (now < work.retry_at) return;
  work.running = step.action;
  if (IsArrayAction(step.action->kind)) {
    if (touched_) touched_->insert(id);
    actions_.emplace_back(*step.action, *dataset);
  } else {
    SendWork(*step.action, *dataset);
  }
}

void Controller::SendWork(const Action& action, const Dataset& dataset) {
  const auto session = sessions_.SessionOf(*dataset.placement.node);
  if (!session) return;  // cannot be: the planner asks only connected nodes
  const Placement& placement = dataset.placement;
  rpc::AgentDown down;
  if (action.kind == ActionKind::kAgentRelease) {
    down.mutable_release()->set_dataset_id(dataset.id.str());
    down.mutable_release()->set_epoch(placement.epoch);
  } else {
    rpc::Attach& attach = *down.mutable_attach();
    attach.set_dataset_id(dataset.id.str());
    attach.set_name(dataset.name);
    attach.set_epoch(placement.epoch);
    attach.set_mount_epoch(placement.mount_epoch);
    attach.set_portal(placement.address.portal);
    attach.set_target(placement.address.target);
    attach.set_lun(placement.address.lun);
    attach.set_initiator(placement.grant.initiator);
    attach.set_user(placement.grant.user);
    attach.set_secret(placement.grant.secret);
    attach.set_formatted(dataset.formatted);
    attach.set_root_uid(dataset.root_uid);
    attach.set_root_gid(dataset.root_gid);
    attach.set_root_mode(dataset.root_mode);
  }
  messages_.emplace_back(*session, std::move(down));
}

void Controller::SendDrop(SessionId session, const std::string& dataset_id, uint64_t epoch) {
  rpc::AgentDown down;
  down.mutable_drop()->set_dataset_id(dataset_id);
  down.mutable_drop()->set_epoch(epoch);
  messages_.emplace_back(session, std::move(down));
}

// ---- time ----

void Controller::OnTick(absl::Duration now) {
  for (const auto& [id, node] : cluster_.nodes()) {
    if (cluster_.LivenessOf(id) == Liveness::kDown || now - last_heard_[id] < options_.heartbeat_timeout) continue;
    if (const auto session = sessions_.SessionOf(id)) {
      closing_.push_back(*session);
      OnAgentGone(*session, now);
    }
    SetLiveness(id, Liveness::kDown);
    AddEvent("node-down", nullptr,
             absl::StrCat("node ", node.name, " was silent for ", absl::FormatDuration(options_.heartbeat_timeout),
                          " and counts as down"))
        .node = id;
  }
  CheckLogins(now);
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (it->second.deadline > now) {
      ++it;
      continue;
    }
    const absl::Status status =
        Refuse(Cause::kInProgress, absl::StrCat("not done within ", absl::FormatDuration(options_.operation_timeout),
                                                "; it goes on, see flockerctl events"));
    for (const ReplyTo& to : it->second.to) Answer(to, it->first, it->second.dataset, status);
    it = waiters_.erase(it);
  }
  for (auto& [id, work] : work_) {
    if (work.running || work.retry_at <= absl::ZeroDuration() || work.retry_at > now) continue;
    work.retry_at = {};  // due once: when there is nothing to try, as with a node that left, nothing wakes us again
    dirty_.insert(id);
  }
  if (now >= next_list_) {
    next_list_ = absl::InfiniteDuration();  // until its answer came
    if (!restored_.held()) {
      touched_.emplace();
      for (const auto& [id, work] : work_) {
        if (work.running && IsArrayAction(work.running->kind)) touched_->insert(id);
      }
      list_wanted_ = true;
    } else {
      next_list_ = now + options_.reconcile_interval;
    }
  }
  if (now >= next_heartbeat_) {
    next_heartbeat_ = now + options_.heartbeat_timeout / 5;
    rpc::AgentDown down;
    down.mutable_heartbeat();
    for (const SessionId session : sessions_.All()) messages_.emplace_back(session, down);
  }
}

absl::Duration Controller::NextTick() const {
  absl::Duration next = std::min({next_heartbeat_, next_list_, sessions_.NextDelta()});
  for (const auto& [id, heard] : last_heard_) {
    if (cluster_.LivenessOf(id) != Liveness::kDown) next = std::min(next, heard + options_.heartbeat_timeout);
  }
  for (const auto& [id, waiter] : waiters_) next = std::min(next, waiter.deadline);
  for (const LateReply& late : late_) next = std::min(next, late.deadline);
  for (const auto& [id, work] : work_) {
    if (!work.running && work.retry_at > absl::ZeroDuration()) next = std::min(next, work.retry_at);
    if (work.logging_in_since && !cluster_.CutOff(id)) {
      next = std::min(next, *work.logging_in_since + options_.heartbeat_timeout);
    }
  }
  return next;
}

SessionId Controller::ReaderOf(const ReplyTo& to, const rpc::OperationReply& reply) const {
  if (!reply.outcome().cause().empty()) return 0;
  const Dataset* dataset = cluster_.Find(DatasetId::Parse(reply.dataset_id()).value_or(DatasetId()));
  if (dataset == nullptr || !dataset->desired.node) return 0;
  const auto reader = sessions_.SessionOf(*dataset->desired.node);
  // On its own stream the news comes before the answer anyway.
  return reader && *reader != to.session ? *reader : 0;
}

void Controller::SendReplies(absl::Duration now) {
  std::erase_if(late_, [&](const LateReply& late) {
    if (late.reader != 0 && !sessions_.Shows(late.reader, late.version) && now < late.deadline) return false;
    FLOCKER_FAULT_POINT("control.answering");
    if (late.to.session == 0) {
      world_.Reply(late.to.call, late.reply);
    } else {
      rpc::AgentDown down;
      *down.mutable_reply() = late.reply;
      world_.SendToAgent(late.to.session, down);
    }
    return true;
  });
}

absl::Status Controller::Flush(absl::Duration now) {
  PlanDirty(now);
  for (const DatasetId& id : put_) {
    if (const Dataset* dataset = cluster_.Find(id)) batch_.put.push_back(*dataset);
  }
  put_.clear();
  const Batch batch = std::exchange(batch_, {});
  if (!batch.put.empty() || !batch.erase.empty() || !batch.put_nodes.empty() || !batch.events.empty()) {
    RETURN_IF_ERROR(world_.Commit(batch));
  }
  for ([[maybe_unused]] const Dataset& dataset : batch.put) {
    FLOCKER_FAULT_POINT("control.committed.", PhaseName(dataset.placement.phase));
  }
  if (!batch.erase.empty()) FLOCKER_FAULT_POINT("control.committed.gone");
  for (const auto& [session, message] : std::exchange(messages_, {})) {
    world_.SendToAgent(session, message);
    if (message.has_attach()) FLOCKER_FAULT_POINT("control.ordered.attach");
    if (message.has_release()) FLOCKER_FAULT_POINT("control.ordered.release");
  }
  std::set<SessionId> urgent;  // an answer comes after the news it is about
  for (auto& [to, reply] : std::exchange(replies_, {})) {
    const SessionId reader = ReaderOf(to, reply);
    urgent.insert({to.session, reader});
    late_.push_back({to, std::move(reply), reader, sessions_.version(), now + kShowTimeout});
  }
  for (const SessionId session : sessions_.All()) {
    if (auto delta = sessions_.Take(session, cluster_, urgent.contains(session), now)) {
      rpc::AgentDown down;
      *down.mutable_view() = *std::move(delta);
      world_.SendToAgent(session, down);
    }
  }
  SendReplies(now);
  for (const SessionId session : std::exchange(closing_, {})) world_.CloseSession(session);
  for (const auto& [id, initiator] : std::exchange(strays_to_cut_, {})) world_.CutOffStray(id, initiator);
  if (std::exchange(list_wanted_, false)) world_.RequestArrayList();
  for (const auto& [action, dataset] : std::exchange(actions_, {})) world_.StartArrayAction(action, dataset);
  for (const DatasetId& id : std::exchange(records_, {})) {
    if (const Dataset* dataset = cluster_.Find(id)) world_.WriteRecord(*dataset);
  }
  return absl::OkStatus();
}

// ---- events and questions ----

Event& Controller::AddEvent(const std::string& kind, const Dataset* dataset, const std::string& message) {
  Event event;
  event.seq = ++event_seq_;
  event.time_ms = world_.WallClockMs();
  event.kind = kind;
  event.message = message;
  if (dataset != nullptr) {
    event.dataset = dataset->id;
    event.name = dataset->name;
    event.epoch = dataset->placement.epoch;
    if (dataset->placement.node) event.node = *dataset->placement.node;
  }
  spdlog::info("{}{}{} {}: {}", event.name, event.name.empty() ? "" : " ",
               event.epoch != 0 ? absl::StrCat("e", event.epoch) : "", kind, message);
  batch_.events.push_back(std::move(event));
  return batch_.events.back();
}

void Controller::RememberRefusal(const Event& event) {
  if (!event.name.empty()) refusals_[event.name] = event;
  if (!event.dataset.empty()) refusals_[event.dataset.str()] = event;
}

void Controller::RememberRefusals(const std::vector<Event>& events) {
  for (const Event& event : events) {
    if (!event.cause.empty()) RememberRefusal(event);
  }
}

rpc::ViewReply Controller::View() const {
  rpc::ViewReply reply;
  for (const auto& [id, node] : cluster_.nodes()) *reply.add_nodes() = ToView(node, cluster_.LivenessOf(id));
  for (const auto& [id, dataset] : cluster_.datasets()) *reply.add_datasets() = ToView(dataset);
  reply.set_version(FLOCKER_VERSION);
  reply.set_strays(strays_);
  return reply;
}

absl::StatusOr<Event> Controller::Why(const std::string& name) const {
  if (const auto it = refusals_.find(name); it != refusals_.end()) return it->second;
  const Dataset* dataset = cluster_.FindName(name);
  if (dataset != nullptr) {
    if (const auto it = refusals_.find(dataset->id.str()); it != refusals_.end()) return it->second;
  }
  // A prefix of an id: the map is ordered, so the first key from there on is the only candidate.
  if (const auto it = refusals_.lower_bound(name);
      name.size() >= 4 && it != refusals_.end() && absl::StartsWith(it->first, name)) {
    return it->second;
  }
  if (dataset != nullptr) return Refuse(Cause::kNotFound, absl::StrCat("nothing was refused about ", name));
  return Refuse(Cause::kNotFound,
                absl::StrCat("no dataset is named ", name, ", and nothing was refused under that name"));
}

}  // namespace flocker
