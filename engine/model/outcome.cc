#include "engine/model/outcome.h"

#include <algorithm>
#include <utility>

namespace flocker {
namespace {

void Succeed(Dataset& dataset) {
  if (dataset.operation.id.empty() || dataset.operation.done) return;
  dataset.operation.done = true;
  dataset.operation.cause.clear();
  dataset.operation.message.clear();
}

void Refused(Dataset& dataset, Cause cause, const std::string& message) {
  if (dataset.operation.id.empty() || dataset.operation.done) return;
  dataset.operation.done = true;
  dataset.operation.cause = std::string(CauseName(cause));
  dataset.operation.message = message;
}

// How far the LUN has grown. One that the array will not make larger stays as it is.
void Grow(Dataset& dataset, uint64_t lun_size, const std::string& refusal) {
  if (dataset.grows_from == 0 || lun_size == 0) return;
  if (!refusal.empty()) dataset.size = lun_size;
  dataset.grows_from = lun_size < dataset.size ? lun_size : 0;
  dataset.error = refusal;
}

// The node provably let go (or was cut off): what was only wished is now so.
void LeaveNode(Dataset& dataset) {
  dataset.SetName(dataset.desired.name);
  dataset.desired.force = false;
  dataset.error.clear();
  if (MustLeave(dataset) && !dataset.desired.leave) Succeed(dataset);
}

void Clear(Placement& placement) {
  placement.node.reset();
  placement.granted = false;
  placement.grant = {};
  placement.previous.reset();
  placement.address = {};
}

// Reports of the agent. A matching epoch makes them true whatever was asked meanwhile.
bool ApplyReport(Dataset& dataset, const StepOutcome& outcome, const Fresh& fresh) {
  Placement& placement = dataset.placement;
  if (!HeldByNode(placement.phase)) return false;
  switch (outcome.kind) {
    case OutcomeKind::kFormatted:
      if (dataset.formatted) return false;
      dataset.formatted = true;
      return true;
    case OutcomeKind::kAttached:
      if (!placement.granted || placement.phase == Phase::kDetaching) return false;
      if (placement.phase == Phase::kAttached) {  // said again, with another remark
        return std::exchange(dataset.error, outcome.message) != outcome.message;
      }
      placement.phase = Phase::kAttached;
      dataset.formatted = true;  // what is mounted is, also when the word of it was lost with the state
      placement.previous.reset();
      if (outcome.block_size != 0) dataset.block_size = outcome.block_size;
      dataset.error = outcome.message;
      return true;
    case OutcomeKind::kReleased:
      LeaveNode(dataset);
      placement.phase = Phase::kRevoking;
      return true;
    case OutcomeKind::kBusy:
      if (placement.phase != Phase::kDetaching) return false;
      dataset.desired = {.node = placement.node, .name = dataset.name};
      placement.phase = Phase::kAttached;
      dataset.error.clear();
      Refused(dataset, Cause::kBusy, outcome.message);
      return true;
    case OutcomeKind::kSessionLost:
      if (!placement.granted) return false;  // a renewal is under way already
      dataset = BeginRenewal(dataset, fresh, outcome.message);
      return true;
    case OutcomeKind::kNotHeld:
      // Also while attaching: it may have logged in before it lost everything, and what that session still has under
      // way must not land after what a second login under the same grant writes.
      placement.phase = Phase::kFencing;
      dataset.error = outcome.message;
      return true;
    default:
      return false;
  }
}

bool ApplyArray(Dataset& dataset, const StepOutcome& outcome) {
  Placement& placement = dataset.placement;
  switch (outcome.kind) {
    case OutcomeKind::kCreated:
      if (placement.phase != Phase::kProvisioning) return false;
      placement.phase = Phase::kDetached;
      if (dataset.operation.kind == "create") Succeed(dataset);
      break;
    case OutcomeKind::kCreateFailed:
      if (placement.phase != Phase::kProvisioning) return false;
      placement.phase = Phase::kPurging;
      dataset.desired.deleted = true;
      dataset.desired.purge = true;
      Refused(dataset, outcome.cause, outcome.message);
      break;
    case OutcomeKind::kGranted:
      if (placement.granted) return false;
      if (placement.phase == Phase::kGranting) {
        placement.phase = Phase::kAttaching;
      } else if (placement.phase != Phase::kRenewing) {
        return false;
      }
      placement.granted = true;
      placement.previous.reset();
      placement.address = outcome.address;
      dataset.error.clear();
      Grow(dataset, outcome.lun_size, outcome.message);
      return true;
    case OutcomeKind::kRevoked:
      if (placement.phase != Phase::kRevoking) return false;
      Clear(placement);
      placement.phase = Phase::kDetached;
      break;
    case OutcomeKind::kFenced:
      if (placement.phase != Phase::kFencing) return false;
      LeaveNode(dataset);
      Clear(placement);
      placement.phase = Phase::kDetached;
      break;
    default:
      return false;
  }
  dataset.error.clear();
  return true;
}

}  // namespace

std::optional<Applied> Apply(const Dataset& dataset, const StepOutcome& outcome, const Fresh& fresh) {
  if (outcome.epoch != dataset.placement.epoch) return std::nullopt;
  Applied applied{.dataset = dataset, .gone = false};
  if (outcome.kind == OutcomeKind::kDestroyed) {
    if (dataset.placement.phase != Phase::kPurging) return std::nullopt;
    applied.gone = true;
    Succeed(applied.dataset);  // a purge; a create that failed was answered before
    return applied;
  }
  if (outcome.kind == OutcomeKind::kFailed) {
    if (dataset.error == outcome.message) return std::nullopt;
    applied.dataset.error = outcome.message;
    return applied;
  }
  const bool changed = outcome.kind >= OutcomeKind::kFormatted ? ApplyReport(applied.dataset, outcome, fresh)
                                                               : ApplyArray(applied.dataset, outcome);
  if (!changed) return std::nullopt;
  return applied;
}

}  // namespace flocker
