// What agents say, and who of them is there.
#include "engine/control/controller.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/model/names.h"
#include "engine/rpc/channel.h"
#include "engine/store/backup.h"

namespace flocker {
namespace {

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

}  // namespace

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
    changes_.nodes = true;
  }
  sessions_.Open(session, node.id, hello.packed_views());
  urgent_.insert(session);
  last_heard_[node.id] = now;
  silence_.Set(node.id, now + options_.heartbeat_timeout);
  SetLiveness(node.id, Liveness::kConnected);
  *down.mutable_welcome()->mutable_node() = ToView(cluster_, node);
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
    silence_.Set(id, last_heard_[id] + options_.heartbeat_timeout);
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
    work.Took({.step = step.step(), .duration_us = step.duration_us()});
  }
  if (work.running && !IsArrayAction(work.running->kind)) work.running.reset();
  dirty_.insert(*id);
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
  changes_.nodes = true;
  for (const DatasetId& id : cluster_.DatasetsOf(node)) {
    dirty_.insert(id);
    Changed(id);
    // Whether it can log in shows anew once it is heard.
    Work& work = work_[id];
    if (work.logging_in_since) work.logging_in_since = last_heard_[node];
    cluster_.SetCutOff(id, false);
  }
  UpdateValve();
}

void Controller::UpdateValve() {
  // The most nodes that are away now and vanished within one window.
  std::vector<absl::Duration> times;
  for (const auto& [node, at] : vanished_at_) times.push_back(at);
  std::sort(times.begin(), times.end());
  size_t together = 0;
  for (size_t first = 0, last = 0; last < times.size(); ++last) {
    while (times[last] - times[first] > kVanishWindow) ++first;
    together = std::max(together, last - first + 1);
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

}  // namespace flocker
