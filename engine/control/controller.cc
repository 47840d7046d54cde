#include "engine/control/controller.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/control/array_audit.h"
#include "engine/model/codec.h"
#include "engine/model/exchange.h"
#include "engine/model/operations.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(5);
constexpr absl::Duration kShowTimeout = absl::Seconds(1);

bool ExistsOnArray(Phase phase) { return phase != Phase::kProvisioning && phase != Phase::kPurging; }

// What the record beside the LUN tells whoever rebuilds a lost store.
bool SameDescription(const Dataset& a, const Dataset& b) {
  return a.name == b.name && a.metadata == b.metadata && a.size == b.size && a.formatted == b.formatted &&
         a.desired.deleted == b.desired.deleted && a.desired.node == b.desired.node && a.protect == b.protect &&
         a.placement.epoch == b.placement.epoch;
}

}  // namespace

Controller::Controller(const ControllerOptions& options, const Snapshot& snapshot, World& world, absl::Duration now)
    : options_(options),
      world_(world),
      purged_(snapshot.tombstones.begin(), snapshot.tombstones.end()),
      next_capacity_(now),
      next_heartbeat_(now),
      restored_(snapshot),
      retention_(options.retention, snapshot, now),
      next_list_(now),
      event_seq_(snapshot.last_event) {
  for (const Node& node : snapshot.nodes) {
    cluster_.PutNode(node);
    cluster_.SetLiveness(node.id, Liveness::kSilent);
    // Nobody counts as down for twice the timeout after a start: they may not have found us yet.
    last_heard_[node.id] = now + options_.heartbeat_timeout;
    silence_.Set(node.id, last_heard_[node.id] + options_.heartbeat_timeout);
    cluster_.SetDrained(node.id, snapshot.meta.contains(absl::StrCat(kDrainedMeta, node.id.str())));
  }
  for (const Dataset& dataset : snapshot.datasets) {
    cluster_.Put(dataset);
    NoteLogins(dataset, now);
    dirty_.insert(dataset.id);
  }
  LoadPromises(snapshot, now);
}

// ---- outcomes ----

void Controller::Work::Took(StepTime step) {
  constexpr size_t kMost = 64;  // a step that fails for hours must not fill the memory
  if (timeline.size() == kMost) timeline.erase(timeline.begin());
  timeline.push_back(std::move(step));
}

void Controller::OnArrayOutcome(const Action& action, const StepOutcome& outcome, absl::Duration took,
                                absl::Duration now) {
  Work& work = work_[action.dataset];
  work.running.reset();
  work.Took({.step = std::string(ActionName(action.kind)), .duration_us = absl::ToInt64Microseconds(took)});
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
  list_error_ = entries.ok() ? "" : std::string(entries.status().message());
  if (!entries.ok()) {
    spdlog::warn("the array cannot be compared with the records: {}", std::string(entries.status().message()));
    return;
  }
  ++array_looks_;
  const auto known_before = std::exchange(known_strays_, {});
  for (const ArrayEntry& entry : *entries) {
    if (cluster_.SetUsed(entry.id, entry.used)) sessions_.Changed(entry.id);
  }
  std::set<DatasetId> missing;
  for (const auto& [id, dataset] : cluster_.datasets()) missing.insert(id);
  for (const ArrayEntry& entry : *entries) {
    missing.erase(entry.id);
    if (!touched.contains(entry.id)) Reconcile(entry.id, entry, known_before, now);
  }
  for (const DatasetId& id : missing) {
    if (cluster_.SetUsed(id, 0)) sessions_.Changed(id);
    if (!touched.contains(id)) Reconcile(id, ArrayEntry{.id = id}, known_before, now);
  }
}

void Controller::Reconcile(const DatasetId& id, const ArrayEntry& entry, const Strays& known_before,
                           absl::Duration now) {
  const Dataset* dataset = cluster_.Find(id);
  if (dataset != nullptr && entry.size && ExistsOnArray(dataset->placement.phase)) {
    // One that could not be written, or not before a crash, is written again.
    const size_t text = std::hash<std::string>()(entry.record);
    if (const auto it = described_.find(id); it == described_.end() || it->second != text) {
      const auto record = DatasetFromJson(entry.record);
      const bool same = record.ok() && SameDescription(*record, *dataset);
      if (same) described_[id] = text;
      if (!same) records_.insert(id);
    }
  }
  for (const ArrayFinding& finding : CompareWithArray(dataset, entry)) {
    switch (finding.kind) {
      case ArrayFinding::Kind::kStrayExport:
      case ArrayFinding::Kind::kStrayInitiator:
        if (!known_before.contains({id, finding.initiator})) {
          ++strays_;
          AddEvent("stray", dataset, finding.message);
        }
        known_strays_.emplace(id, finding.initiator);
        strays_to_cut_.emplace(id, finding.initiator);
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
  const bool in_vain = outcome.kind == OutcomeKind::kSessionLost && work.logging_in_since;  // the renewal was no help
  if (outcome.kind == OutcomeKind::kFailed || in_vain) {
    work.backoff = std::clamp(work.backoff * 2, kFirstBackoff, kMaxBackoff);
    work.retry_at = now + work.backoff;
    if (work.running && !IsArrayAction(work.running->kind)) work.running.reset();  // it would not be tried again
  } else {
    if (outcome.kind != OutcomeKind::kGranted || !work.logging_in_since) work.backoff = {};
    work.retry_at = {};
  }
  const Dataset before = *found;
  // An array that cannot renew is away itself: its nodes need time again once it is back.
  if (outcome.kind == OutcomeKind::kFailed && before.placement.phase == Phase::kRenewing && !before.placement.granted) {
    work.logging_in_since.reset();
    cluster_.SetCutOff(before.id, false);
  }
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
  described_.erase(before.id);
  work_.erase(before.id);
  batch_.erase.push_back(before.id);
  batch_.tombstones.push_back(before.id);
  purged_.insert(before.id);
  if (asked_sizes_.erase(before.id) != 0) batch_.meta[absl::StrCat(kAskedSizeMeta, before.id.str())] = "";
  ForgetWish(before.id);
  sessions_.Changed(before.id);
  Changed(before.id);
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

// When its node counts as cut off; never when it cannot use its grant for another reason.
absl::Duration Controller::LoginDeadline(const DatasetId& id, const Work& work) const {
  if (!work.logging_in_since || cluster_.CutOff(id)) return absl::InfiniteDuration();
  const Placement& placement = cluster_.Find(id)->placement;
  if (!placement.granted || cluster_.LivenessOf(*placement.node) != Liveness::kConnected) {
    return absl::InfiniteDuration();
  }
  return *work.logging_in_since + options_.heartbeat_timeout;
}

void Controller::CheckLogin(const DatasetId& id, absl::Duration now) {
  const auto it = work_.find(id);
  if (it == work_.end() || now < LoginDeadline(id, it->second)) return;
  const Dataset& dataset = *cluster_.Find(id);
  cluster_.SetCutOff(id, true);
  AddEvent(
      "cut-off", &dataset,
      absl::StrCat(cluster_.FindNode(*dataset.placement.node)->name, " is connected but has not reached the array for ",
                   absl::FormatDuration(options_.heartbeat_timeout), ": mv and rmdir off it will fence it"));
}

// When it must be planned again without any news; whatever changes that makes it dirty. What is due by now was just
// tried.
absl::Duration Controller::DueAt(const DatasetId& id, absl::Duration now) const {
  const auto it = work_.find(id);
  if (it == work_.end()) return absl::InfiniteDuration();
  const Work& work = it->second;
  const absl::Duration login = LoginDeadline(id, work);
  return work.running || work.retry_at <= now ? login : std::min(login, work.retry_at);
}

// ---- planning ----

void Controller::PutDataset(Dataset dataset) {
  const Dataset* before = cluster_.Find(dataset.id);
  if (before != nullptr && !SameDescription(*before, dataset)) {
    described_.erase(dataset.id);
    if (ExistsOnArray(dataset.placement.phase)) records_.insert(dataset.id);
  }
  if (before != nullptr && before->placement.phase != Phase::kTrashed && dataset.placement.phase == Phase::kTrashed) {
    Event& event = AddEvent("trashed", &dataset, "destroyed; its LUN is kept");
    event.timeline = std::exchange(work_[dataset.id].timeline, {});
  }
  retention_.Note(dataset);
  put_.insert(dataset.id);
  dirty_.insert(dataset.id);
  if (!dataset.operation.with.empty()) dirty_.insert(dataset.operation.with);
  sessions_.Changed(dataset.id);
  Changed(dataset.id);
  cluster_.Put(std::move(dataset));
}

void Controller::PlanDirty(absl::Duration now) {
  if (restored_.held()) return;
  while (!dirty_.empty()) {
    const DatasetId id = *dirty_.begin();
    dirty_.erase(dirty_.begin());
    CheckLogin(id, now);
    Plan(id, now);
    work_due_.Set(id, DueAt(id, now));
  }
}

void Controller::Plan(const DatasetId& id, absl::Duration now) {
  const Dataset* dataset = cluster_.Find(id);
  if (dataset == nullptr) return;
  const std::vector<Dataset> exchanged = AdvanceExchange(cluster_, *dataset);
  if (!exchanged.empty()) return PutExchanged(exchanged);
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

// Both records change in one commit, or the one that is still waiting.
void Controller::PutExchanged(const std::vector<Dataset>& exchanged) {
  for (const Dataset& dataset : exchanged) {
    if (exchanged.size() > 1) AddEvent("exchanged", &dataset, absl::StrCat("now named ", dataset.name));
    PutDataset(dataset);
    AnswerIfDone(dataset);
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
  CheckSilence(now);
  for (const DatasetId& id : work_due_.TakeDue(now)) dirty_.insert(id);
  PurgeExpired(now);
  ExpireLeases(now);
  CheckWishes(now);
  for (const std::string& operation : waiters_due_.TakeDue(now)) {
    const auto waiter = waiters_.extract(operation);
    const absl::Status status =
        Refuse(Cause::kInProgress, absl::StrCat("not done within ", absl::FormatDuration(options_.operation_timeout),
                                                "; it goes on, see flockerctl events"));
    for (const ReplyTo& to : waiter.mapped().to) Answer(to, operation, waiter.mapped().dataset, status);
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
  if (now >= next_capacity_) {
    next_capacity_ = absl::InfiniteDuration();  // until its answer came
    world_.RequestCapacity();
  }
  if (now >= next_heartbeat_) {
    next_heartbeat_ = now + options_.heartbeat_timeout / 5;
    heartbeat_ = true;
  }
}

void Controller::CheckSilence(absl::Duration now) {
  for (const NodeId& id : silence_.TakeDue(now)) {
    if (cluster_.LivenessOf(id) == Liveness::kDown) continue;  // as is one that nobody knows any more
    const absl::Duration down_at = last_heard_[id] + options_.heartbeat_timeout;
    if (now < down_at) {
      silence_.Set(id, down_at);
      continue;
    }
    if (const auto session = sessions_.SessionOf(id)) {
      closing_.push_back(*session);
      OnAgentGone(*session, now);
    }
    SetLiveness(id, Liveness::kDown);
    AddEvent("node-down", nullptr,
             absl::StrCat("node ", cluster_.FindNode(id)->name, " was silent for ",
                          absl::FormatDuration(options_.heartbeat_timeout), " and counts as down"))
        .node = id;
  }
}

void Controller::PurgeExpired(absl::Duration now) {
  if (restored_.held()) return;
  for (const DatasetId& id : retention_.TakeDue(now)) {
    const auto planned =
        PlanPurge(cluster_, {.operation_id = absl::StrCat("retention-", world_.RandomHex(16)), .id = id});
    if (!planned.ok()) continue;  // somebody is changing it: it is noted again when that is done
    AddEvent("purge", &*planned,
             absl::StrCat("purge of ", planned->name, ": it was in the trash for ",
                          absl::FormatDuration(options_.retention)));
    PutDataset(*planned);
  }
}

absl::Duration Controller::NextTick() const {
  absl::Duration next = std::min({next_heartbeat_, next_list_, next_capacity_, sessions_.NextRound(), silence_.Next(),
                                  work_due_.Next(), waiters_due_.Next()});
  if (!restored_.held()) next = std::min({next, retention_.Next(), lease_ends_.Next(), wishes_due_.Next()});
  if (!late_.empty()) next = std::min(next, late_.front().deadline);
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
  Batch batch = std::exchange(batch_, {});
  const bool changed = !batch.put.empty() || !batch.erase.empty() || !batch.put_nodes.empty() ||
                       !batch.events.empty() || !batch.meta.empty();
  const std::string trash_clock = retention_.Save(now, changed);
  if (!trash_clock.empty()) batch.meta[kTrashClockMeta] = trash_clock;
  if (changed || !trash_clock.empty()) {
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
  if (std::exchange(heartbeat_, false)) {
    rpc::AgentDown down;
    down.mutable_heartbeat();
    const auto encoded = std::make_shared<const std::string>(down.SerializeAsString());
    for (const SessionId session : sessions_.All()) world_.SendToAgent(session, encoded);
  }
  if (capacity_) sessions_.SetPool(*capacity_, cluster_.trash_used());
  for (auto& [to, reply] : std::exchange(replies_, {})) {  // an answer comes after the news it is about
    const SessionId reader = ReaderOf(to, reply);
    urgent_.insert({to.session, reader});
    late_.push_back({to, std::move(reply), reader, sessions_.version(), now + kShowTimeout});
  }
  if (!batch.events.empty()) sessions_.Happened();
  const auto tell = [&](const auto& sessions) {
    for (const SessionId session : sessions) {
      for (const auto& message : sessions_.Take(session, cluster_, now)) world_.SendToAgent(session, message);
    }
  };
  tell(std::exchange(urgent_, {}));
  if (sessions_.BeginRound(now)) {
    tell(sessions_.All());
    world_.TellEvents();
  }
  SendReplies(now);
  for (const SessionId session : std::exchange(closing_, {})) world_.CloseSession(session);
  for (const auto& [id, initiator] : std::exchange(strays_to_cut_, {})) world_.CutOffStray(id, initiator);
  if (std::exchange(list_wanted_, false)) world_.RequestArrayList();
  for (const auto& [action, dataset] : std::exchange(actions_, {})) world_.StartArrayAction(action, dataset);
  for (const DatasetId& id : std::exchange(records_, {})) {
    const Dataset* dataset = cluster_.Find(id);
    if (dataset != nullptr && dataset->placement.phase != Phase::kPurging) world_.WriteRecord(*dataset);
  }
  return absl::OkStatus();
}

}  // namespace flocker
