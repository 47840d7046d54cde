#include "fusefs/operations.h"

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr absl::Duration kAskAgain = absl::Milliseconds(200);

std::string FreshId() { return DatasetId::FromRandomHex(RandomHex(16)).str(); }

rpc::TreeUp Message(const rpc::OperationRequest& request) {
  rpc::TreeUp message;
  *message.mutable_operation() = request;
  return message;
}

absl::Status StillGoing() {
  return Refuse(Cause::kInProgress, "the cluster has not finished it in time; it goes on, see flockerctl events");
}

}  // namespace

Operations::Operations(const Options& options, Send send, Deadlines& deadlines)
    : options_(options), send_(std::move(send)), deadlines_(deadlines) {}

void Operations::Finish(Pending pending, absl::StatusOr<DatasetId> outcome) {
  pending.operation.done(std::move(pending.request), std::move(outcome));
}

void Operations::Submit(Request request, Operation operation) {
  const auto noted = Noted(request);
  const std::string id = noted ? noted->id() : FreshId();
  operation.request.set_id(id);
  const std::string note = operation.request.SerializeAsString();
  request.Begin(note.size() <= InFlight::kMaxNote ? note : std::string());
  {
    MutexLock lock(mutex_);
    const bool sent = send_(Message(operation.request));
    if (sent || noted) {
      pending_.emplace(id, Pending{std::move(request), std::move(operation), sent, noted.has_value(), false, {}});
      deadlines_.After(options_.op_timeout, [this, id] { Expire(id); });
      return;
    }
  }
  operation.done(std::move(request), Refuse(Cause::kNoControl,
                                            "the agent of this machine cannot be reached; nothing was "
                                            "changed; see its log"));
}

std::optional<rpc::OperationRequest> Operations::Noted(const Request& request) {
  rpc::OperationRequest noted;
  if (request.note().empty() || !noted.ParseFromString(request.note())) return std::nullopt;
  return noted;
}

void Operations::Expire(const std::string& id) {
  std::optional<Pending> expired;
  {
    MutexLock lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    expired.emplace(std::move(found->second));
    pending_.erase(found);
  }
  const absl::StatusOr<DatasetId> outcome =
      expired->settling ? absl::StatusOr<DatasetId>(expired->dataset) : absl::StatusOr<DatasetId>(StillGoing());
  Finish(*std::move(expired), outcome);
}

void Operations::OnReply(const rpc::OperationReply& reply) {
  std::optional<Pending> refused;
  const absl::Status outcome = FromOutcome(reply.outcome());
  {
    MutexLock lock(mutex_);
    const auto found = pending_.find(reply.id());
    if (found == pending_.end() || found->second.settling) return;  // it took too long, or was asked twice
    Pending& pending = found->second;
    if (outcome.ok()) {
      pending.settling = true;
      pending.dataset = DatasetId::Parse(reply.dataset_id()).value_or(DatasetId());
      deadlines_.After(options_.settle_timeout, [this, id = reply.id()] { Expire(id); });
    } else if (pending.before && CauseOf(outcome) == Cause::kNoControl) {
      pending.sent = false;
      deadlines_.After(kAskAgain, [this] { Resend(); });
      return;
    } else {
      refused.emplace(std::move(pending));
      pending_.erase(found);
    }
  }
  refused ? Finish(*std::move(refused), outcome) : Settle(reply.id());
}

void Operations::Settle(const std::string& id) {
  std::optional<Pending> settled;
  {
    MutexLock lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end() || !found->second.operation.settled(found->second.dataset)) return;
    settled.emplace(std::move(found->second));
    pending_.erase(found);
  }
  const DatasetId dataset = settled->dataset;
  Finish(*std::move(settled), dataset);
}

void Operations::CatalogChanged() {
  std::vector<std::string> settling;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, pending] : pending_) {
      if (pending.settling) settling.push_back(id);
    }
  }
  for (const std::string& id : settling) Settle(id);
}

void Operations::Resend() {
  MutexLock lock(mutex_);
  for (auto& [id, pending] : pending_) {
    if (pending.settling || pending.sent) continue;
    pending.sent = send_(Message(pending.operation.request));
    if (!pending.sent) return;  // the next stream's turn
  }
}

void Operations::Ask(Request request, const DatasetId& dataset, bool holders, Describe answer) {
  rpc::TreeUp message;
  const std::string id = FreshId();
  message.mutable_describe()->set_request_id(id);
  message.mutable_describe()->set_dataset_id(dataset.str());
  message.mutable_describe()->set_holders(holders);
  MutexLock lock(mutex_);
  if (!send_(std::move(message))) return request.Error(EAGAIN);  // nobody knows until the agent is back
  questions_.emplace(id, Question{std::move(request), std::move(answer)});
  deadlines_.After(options_.op_timeout, [this, id] {
    MutexLock task_lock(mutex_);
    const auto late = questions_.extract(id);
    if (!late.empty()) late.mapped().request.Error(ETIMEDOUT);
  });
}

void Operations::OnDescription(const rpc::Description& description) {
  MutexLock lock(mutex_);
  auto question = questions_.extract(description.request_id());
  if (question.empty()) return;
  auto& [request, answer] = question.mapped();
  description.known() ? answer(std::move(request), description) : request.Error(EAGAIN);
}

void Operations::OnBroken() {
  MutexLock lock(mutex_);
  for (auto& [id, pending] : pending_) {
    pending.before = pending.before || pending.sent;
    pending.sent = false;
  }
  for (auto& [id, question] : questions_) question.request.Error(EAGAIN);
  questions_.clear();
}

void Operations::Clear() {
  absl::flat_hash_map<std::string, Pending> pending;
  {
    MutexLock lock(mutex_);
    pending.swap(pending_);
    questions_.clear();
  }
  for (auto& [id, one] : pending) Finish(std::move(one), StillGoing());
}

}  // namespace flocker
