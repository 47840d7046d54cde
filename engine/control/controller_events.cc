// What people are told: events, the last refusals, the cluster as it is.
#include "engine/control/controller.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/model/size.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr size_t kRememberRefusals = 20'000;

}  // namespace

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
      if (before.placement.phase == Phase::kAttached) {
        if (!outcome.message.empty()) add("remark", outcome.message);
        return;
      }
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
      if (!outcome.message.empty()) add("not-grown", outcome.message);
      return;
    case OutcomeKind::kRevoked:
    case OutcomeKind::kFormatted:
      return;
  }
}

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
  if (refusals_.size() < kRememberRefusals) return;
  std::vector<uint64_t> seqs;
  seqs.reserve(refusals_.size());
  for (const auto& [subject, refusal] : refusals_) seqs.push_back(refusal.seq);
  const auto middle = seqs.begin() + static_cast<std::ptrdiff_t>(seqs.size() / 2);
  std::nth_element(seqs.begin(), middle, seqs.end());
  std::erase_if(refusals_, [oldest = *middle](const auto& entry) { return entry.second.seq < oldest; });
}

void Controller::RememberRefusals(const std::vector<Event>& events) {
  for (const Event& event : events) {
    if (!event.cause.empty()) RememberRefusal(event);
  }
}

rpc::ViewReply Controller::View(absl::Duration now, const rpc::ViewRequest& request) const {
  rpc::ViewReply reply;
  for (const auto& [id, node] : cluster_.nodes()) *reply.add_nodes() = ToView(cluster_, node);
  if (request.dataset_id().empty()) {
    for (const auto& [id, dataset] : cluster_.datasets()) *reply.add_datasets() = ToView(dataset, cluster_.UsedOf(id));
    for (const auto& [id, lease] : cluster_.leases()) *reply.add_leases() = ToView(lease, lease_ends_.Of(id), now);
  } else if (const Dataset* dataset = cluster_.Find(DatasetId::Parse(request.dataset_id()).value_or(DatasetId()))) {
    *reply.add_datasets() = ToView(*dataset, cluster_.UsedOf(dataset->id));
  }
  reply.set_version(FLOCKER_VERSION);
  reply.set_strays(strays_);
  reply.set_last_event(event_seq_);
  reply.set_time_ms(world_.WallClockMs());
  if (capacity_) *reply.mutable_pool() = ToView(*capacity_, cluster_.trash_used());
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
