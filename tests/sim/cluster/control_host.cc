#include "control_host.h"

#include <algorithm>
#include <utility>

#include "engine/control/array_runner.h"
#include "engine/model/codec.h"

namespace flocker::sim {
namespace {

constexpr absl::Duration kTaskDelay = absl::Microseconds(200);

}  // namespace

ControlHost::ControlHost(Sim& sim, SimArray& array) : sim_(sim), array_(array) {
  options_.heartbeat_timeout = absl::Seconds(2);
  options_.operation_timeout = absl::Seconds(4);
  options_.reconcile_interval = absl::Seconds(2);
  options_.move_patience = absl::Seconds(5);
  array_.OnRestart([this] {
    // The driver finds out by its watch, or by the next call, or not at all when control is away just then.
    if (!running()) return;
    sim_.clock.After(life_, sim_.random.Between(absl::ZeroDuration(), absl::Seconds(1)), [this] {
      Post([](Controller& controller, absl::Duration now) { controller.OnArrayRestart(now); });
    });
  });
}

// ---- runs ----

void ControlHost::Start() {
  if (running()) return;
  sim_.Say("control starts");
  Snapshot snapshot = sim_.durable.Load();
  if (sim_.planted(Plant::kLeasesForgotten)) {
    std::erase_if(snapshot.meta, [](const auto& entry) { return entry.first.starts_with(kLeaseMeta); });
  }
  controller_ = std::make_unique<Controller>(options_, snapshot, *this, sim_.clock.now());
  Post([](Controller&, absl::Duration) {});
}

void ControlHost::Crash() {
  if (!running()) return;
  sim_.Say("control crashes");
  life_.End();
  controller_.reset();
  tasks_.clear();
  run_pending_ = false;
  timer_ = absl::InfiniteDuration();
  calls_.clear();
  uncommitted_.clear();
  dying_ = false;
  commits_left_ = effects_left_ = -1;
  // A command that was handed to the array may still be carried out; nobody hears what came of it.
  for (auto& [id, jobs] : std::exchange(jobs_, {})) {
    if (sim_.random.Percent(50)) jobs.front()();
  }
  for (auto& [session, client] : std::exchange(streams_, {})) {
    if (sim_.random.Percent(50)) client.stream->down.LoseTail();
    EndDown(client.stream);
  }
}

void ControlHost::CrashAtCommit(int commits, bool durable, int effects) {
  commits_left_ = commits;
  crash_durable_ = durable;
  effects_left_ = effects;
}

// As Runner: tasks that came meanwhile run together, then what is due, then one flush.
void ControlHost::Post(Task task) {
  if (!running()) return;
  tasks_.push_back(std::move(task));
  if (std::exchange(run_pending_, true)) return;
  sim_.clock.After(life_, sim_.random.Between(absl::ZeroDuration(), kTaskDelay), [this] { Run(); });
}

void ControlHost::Run() {
  run_pending_ = false;
  const absl::Duration now = sim_.clock.now();
  for (const Task& task : std::exchange(tasks_, {})) task(*controller_, now);
  if (now >= controller_->NextTick()) controller_->OnTick(now);
  const absl::Status flushed = controller_->Flush(now);
  if (!flushed.ok() || dying_) return Crash();
  if (controller_->NextTick() <= now) {
    return sim_.truth.Violated("control wants to be woken for what it just did: it would spin");
  }
  SetTimer();
}

void ControlHost::SetTimer() {
  const absl::Duration next = controller_->NextTick();
  if (next == timer_) return;
  timer_ = next;
  if (next == absl::InfiniteDuration()) return;
  sim_.clock.After(life_, next - sim_.clock.now(), [this, next] {
    if (timer_ == next) Run();
  });
}

// ---- what the controller causes ----

absl::Status ControlHost::Commit(const Batch& batch) {
  const bool crash = commits_left_ == 0;
  if (commits_left_ > 0) --commits_left_;
  if (crash && !crash_durable_) return absl::AbortedError("crash before the commit");
  if (sim_.planted(Plant::kCommitAfterAction)) {
    uncommitted_.push_back(batch);
    sim_.clock.After(life_, absl::Milliseconds(20), [this] {
      sim_.durable.Apply(uncommitted_.front());
      uncommitted_.erase(uncommitted_.begin());
    });
    return absl::OkStatus();
  }
  sim_.truth.Commits(batch);
  sim_.durable.Apply(batch);
  for (const Dataset& dataset : batch.put) {
    sim_.Say("commit  ", dataset.id.Short(), " ", dataset.name, " ", PhaseName(dataset.placement.phase).data(), " e",
             dataset.placement.epoch, dataset.placement.granted ? " granted" : "",
             dataset.placement.node ? absl::StrCat(" on ", dataset.placement.node->Short()) : "", ", wish ",
             dataset.desired.deleted ? "deleted"
             : dataset.desired.node  ? dataset.desired.node->Short()
                                     : "none",
             dataset.formatted ? "" : ", blank", " ", dataset.operation.kind, dataset.operation.done ? " done" : "",
             dataset.operation.cause.empty() ? "" : absl::StrCat(" ", dataset.operation.cause), " ", dataset.error);
  }
  for (const DatasetId& id : batch.erase) sim_.Say("commit  ", id.Short(), " erased");
  if (crash) {
    dying_ = effects_left_ == 0;
    commits_left_ = -1;
    return effects_left_ < 0 ? absl::AbortedError("crash after the commit") : absl::OkStatus();
  }
  return absl::OkStatus();
}

// False once the planned crash has come: what was to leave after it does not.
bool ControlHost::Effect() {
  if (dying_) return false;
  if (commits_left_ < 0 && effects_left_ > 0 && --effects_left_ == 0) dying_ = true;
  return true;
}

void ControlHost::SendToAgent(SessionId session, const rpc::AgentDown& message) {
  if (!Effect()) return;
  const auto it = streams_.find(session);
  if (it == streams_.end()) return;
  if (message.has_drop() && sim_.planted(Plant::kTombstoneForgotten)) {
    const auto id = DatasetId::Parse(message.drop().dataset_id());
    const Dataset* dataset = id ? sim_.durable.Find(*id) : nullptr;
    if (dataset == nullptr || dataset->placement.phase == Phase::kTrashed) return;
  }
  SendDown(it->second.stream, message);
  if (message.has_release() && sim_.planted(Plant::kReleaseWithoutProof)) {
    rpc::AgentUp up;
    up.mutable_report()->set_dataset_id(message.release().dataset_id());
    up.mutable_report()->set_epoch(message.release().epoch());
    up.mutable_report()->set_kind(rpc::Report::RELEASED);
    Post([session, up](Controller& controller, absl::Duration now) { controller.OnAgentMessage(session, up, now); });
  }
}

void ControlHost::CloseSession(SessionId session) {
  if (!Effect()) return;
  const auto it = streams_.find(session);
  if (it == streams_.end()) return;
  EndDown(it->second.stream);
  streams_.erase(it);
  Post([session](Controller& controller, absl::Duration now) { controller.OnAgentGone(session, now); });
}

void ControlHost::Reply(uint64_t call, const rpc::OperationReply& reply) {
  if (!Effect()) return;
  const auto it = calls_.find(call);
  if (it == calls_.end()) return sim_.truth.Violated("a call is answered twice");
  const auto answer = std::move(it->second);
  calls_.erase(it);
  answer(reply);
}

// ---- the array ----

// As ArrayRunner: the jobs of one dataset in order, those of several beside each other.
void ControlHost::Enqueue(const DatasetId& id, Job job) {
  std::deque<Job>& queue = jobs_[id];
  queue.push_back(std::move(job));
  if (queue.size() == 1) RunJob(id);
}

void ControlHost::RunJob(const DatasetId& id) {
  const absl::Duration takes = sim_.random.Percent(10)
                                   ? sim_.random.Between(absl::Milliseconds(10), absl::Milliseconds(800))
                                   : sim_.random.Between(absl::Milliseconds(1), absl::Milliseconds(10));
  sim_.clock.After(life_, takes, [this, id] {
    jobs_[id].front()();
    jobs_[id].pop_front();
    if (jobs_[id].empty()) {
      jobs_.erase(id);
    } else {
      RunJob(id);
    }
  });
}

void ControlHost::StartArrayAction(const Action& action, const Dataset& dataset) {
  if (!Effect()) return;
  Enqueue(dataset.id, [this, action, dataset] { FinishArrayAction(action, dataset); });
}

void ControlHost::FinishArrayAction(const Action& action, const Dataset& dataset) {
  StepOutcome outcome;
  if (action.kind == ActionKind::kArrayRevoke && sim_.planted(Plant::kGrantBeforeRevoke)) {
    outcome = {.kind = OutcomeKind::kRevoked, .dataset = action.dataset, .epoch = action.epoch};
    sim_.clock.After(absl::Milliseconds(30), [this, action, dataset] { RunArrayAction(array_, action, dataset); });
  } else {
    outcome = RunArrayAction(array_, action, dataset);
  }
  sim_.Say("array   ", dataset.id.Short(), " ", ActionName(action.kind).data(), " e", action.epoch, ": ",
           outcome.message.empty() ? "ok" : outcome.message);
  Post([action, outcome](Controller& controller, absl::Duration now) {
    controller.OnArrayOutcome(action, outcome, absl::Milliseconds(1), now);
  });
}

void ControlHost::WriteRecord(const Dataset& dataset) {
  if (!Effect()) return;
  Enqueue(dataset.id, [this, dataset] {
    const absl::Status status = array_.WriteRecord(dataset.id, ToJson(dataset, Secrets::kOmit));
    if (status.ok()) return;
    Post([id = dataset.id, status](Controller& controller, absl::Duration) {
      controller.OnNotice(id, "record-not-written", std::string(status.message()));
    });
  });
}

void ControlHost::RequestCapacity() {
  if (!Effect()) return;
  Enqueue(DatasetId(), [this] {
    Post([capacity = array_.Capacity()](Controller& controller, absl::Duration now) {
      controller.OnCapacity(capacity, now);
    });
  });
}

void ControlHost::RequestArrayList() {
  if (!Effect()) return;
  Enqueue(DatasetId(), [this] {
    Post([list = array_.List()](Controller& controller, absl::Duration now) { controller.OnArrayList(list, now); });
  });
}

void ControlHost::CutOffStray(const DatasetId& dataset, const std::string& initiator) {
  if (!Effect()) return;
  // Nothing that happens here leaves any: what the array has beside the records is always an action under way.
  sim_.truth.Violated(absl::StrCat(dataset.Short(), ": the reconciler takes ", initiator, " for a stray"));
  Enqueue(dataset, [this, dataset, initiator] {
    const absl::Status status = CutOffStrayOn(array_, dataset, initiator);
    sim_.Say("array   ", dataset.Short(), " stray ", initiator, ": ", status.ok() ? "cut off" : status.message());
  });
}

// ---- clients ----

std::shared_ptr<Stream> ControlHost::Accept(Place node) {
  if (!running()) return nullptr;
  const SessionId session = ++last_session_;
  const auto stream = std::make_shared<Stream>(sim_.network, session, node);
  stream->on_up = [this, session](const rpc::AgentUp& message) {
    Post([session, message](Controller& controller, absl::Duration now) {
      controller.OnAgentMessage(session, message, now);
    });
  };
  stream->on_agent_gone = [this, session] {
    streams_.erase(session);
    Post([session](Controller& controller, absl::Duration now) { controller.OnAgentGone(session, now); });
  };
  streams_[session] = {.node = node, .stream = stream};
  return stream;
}

void ControlHost::Call(const rpc::OperationRequest& request, std::function<void(const rpc::OperationReply&)> answer) {
  if (!running()) return;
  const uint64_t call = ++last_call_;
  calls_[call] = std::move(answer);
  Post([request, call](Controller& controller, absl::Duration now) {
    controller.OnOperation(request, {.session = 0, .call = call}, now);
  });
}

void ControlHost::BreakStreams(Place node) {
  for (const auto& [session, client] : streams_) {
    if (client.node == node) BreakStream(client.stream);
  }
}

}  // namespace flocker::sim
