#include "engine/model/planner.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

Step Commit(Dataset dataset, Phase phase) {
  dataset.placement.phase = phase;
  dataset.error.clear();
  return {.commit = std::move(dataset), .action = std::nullopt};
}

Step Act(const Dataset& dataset, ActionKind kind) {
  return {.commit = std::nullopt, .action = Action{kind, dataset.id, dataset.placement.epoch}};
}

Step FromDetached(Dataset dataset, const Cluster& cluster, const Fresh& fresh) {
  if (dataset.desired.leave && !dataset.operation.done) return {};  // until its exchange is through
  if (dataset.desired.deleted) return Commit(std::move(dataset), Phase::kTrashed);
  if (!dataset.desired.node || cluster.LivenessOf(*dataset.desired.node) != Liveness::kConnected) return {};
  Placement& placement = dataset.placement;
  placement.node = dataset.desired.node;
  placement.grant = NextGrant(dataset, *placement.node, fresh);
  placement.epoch = placement.grant.epoch;
  placement.mount_epoch = placement.epoch;
  placement.granted = false;
  placement.previous.reset();
  placement.address = {};
  return Commit(std::move(dataset), Phase::kGranting);
}

bool Fenceable(const Dataset& dataset, const Cluster& cluster) {
  const Liveness liveness = cluster.LivenessOf(*dataset.placement.node);
  if (liveness == Liveness::kConnected) return cluster.CutOff(dataset.id);
  return liveness == Liveness::kDown && (!cluster.valve_closed() || dataset.desired.force);
}

}  // namespace

std::string_view ActionName(ActionKind kind) {
  switch (kind) {
    case ActionKind::kArrayCreate:
      return "create";
    case ActionKind::kArrayGrant:
      return "grant";
    case ActionKind::kArrayRenew:
      return "renew";
    case ActionKind::kArrayRevoke:
      return "revoke";
    case ActionKind::kArrayFence:
      return "fence";
    case ActionKind::kArrayDestroy:
      return "purge";
    case ActionKind::kAgentAttach:
      return "attach";
    case ActionKind::kAgentRelease:
      return "release";
  }
  return "";
}

bool MustLeave(const Dataset& dataset) {
  return dataset.desired.deleted || dataset.desired.leave || dataset.desired.node != dataset.placement.node;
}

Dataset BeginRenewal(Dataset dataset, const Fresh& fresh, const std::string& why) {
  Placement& placement = dataset.placement;
  placement.previous = placement.grant;
  placement.grant = NextGrant(dataset, *placement.node, fresh);
  placement.epoch = placement.grant.epoch;
  placement.granted = false;
  placement.phase = Phase::kRenewing;
  dataset.error = why;
  return dataset;
}

Grant NextGrant(const Dataset& dataset, const NodeId& node, const Fresh& fresh) {
  Grant grant;
  grant.epoch = dataset.placement.epoch + 1;
  grant.node = node;
  // RFC 7143 §4.2.7.3: type "iqn.", a date the naming authority owned its domain, the reversed domain, then our own.
  // Whole ids: the array's names and accounts are global, and shortened ones of many datasets would meet.
  grant.initiator = absl::StrCat("iqn.2026-11.io.flocker:node.", node.str(), ".", dataset.id.str(), ".e", grant.epoch);
  grant.user = absl::StrCat(dataset.id.str(), "-e", grant.epoch);
  grant.secret = fresh.secret;
  return grant;
}

Grant GrantOfInitiator(const DatasetId& id, std::string_view initiator) {
  Grant grant;
  grant.initiator = std::string(initiator);
  const std::string before = absl::StrCat(".", id.str(), ".e");
  const size_t at = grant.initiator.rfind(before);
  if (at == std::string::npos || !absl::SimpleAtoi(grant.initiator.substr(at + before.size()), &grant.epoch)) {
    return grant;
  }
  grant.user = absl::StrCat(id.str(), "-e", grant.epoch);
  return grant;
}

Step NextStep(const Dataset& dataset, const Cluster& cluster, const Fresh& fresh) {
  const Placement& placement = dataset.placement;
  const auto connected = [&] { return cluster.LivenessOf(*placement.node) == Liveness::kConnected; };
  switch (placement.phase) {
    case Phase::kProvisioning:
      return Act(dataset, ActionKind::kArrayCreate);
    case Phase::kDetached:
      return FromDetached(dataset, cluster, fresh);
    case Phase::kGranting:
      return Act(dataset, ActionKind::kArrayGrant);
    case Phase::kAttaching:
      if (MustLeave(dataset)) return Commit(dataset, Phase::kDetaching);
      return connected() ? Act(dataset, ActionKind::kAgentAttach) : Step{};
    case Phase::kAttached:
      if (MustLeave(dataset)) return Commit(dataset, Phase::kDetaching);
      // A LUN grows between two sessions. Its node must be there to begin the next one, or users would wait for it.
      if (dataset.grows_from != 0 && connected()) return {.commit = BeginRenewal(dataset, fresh, ""), .action = {}};
      return {};
    case Phase::kDetaching:
      if (connected()) return Act(dataset, ActionKind::kAgentRelease);
      return Fenceable(dataset, cluster) ? Commit(dataset, Phase::kFencing) : Step{};
    case Phase::kRevoking:
      return Act(dataset, ActionKind::kArrayRevoke);
    case Phase::kRenewing:
      if (!placement.granted) return Act(dataset, ActionKind::kArrayRenew);
      // The node needs its LUN back even to let go of it: it has not flushed everything yet.
      if (MustLeave(dataset) && Fenceable(dataset, cluster)) return Commit(dataset, Phase::kFencing);
      return connected() ? Act(dataset, ActionKind::kAgentAttach) : Step{};
    case Phase::kFencing:
      return Act(dataset, ActionKind::kArrayFence);
    case Phase::kTrashed:
      if (dataset.desired.purge) return Commit(dataset, Phase::kPurging);
      return dataset.desired.deleted ? Step{} : Commit(dataset, Phase::kDetached);
    case Phase::kPurging:
      return Act(dataset, ActionKind::kArrayDestroy);
  }
  return {};
}

}  // namespace flocker
