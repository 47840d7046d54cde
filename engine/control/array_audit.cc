#include "engine/control/array_audit.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

using Kind = ArrayFinding::Kind;

// Whether somebody may be let in, and whether the rightful holder must be able to log in.
bool MayBeExported(Phase phase) {
  switch (phase) {
    case Phase::kProvisioning:
    case Phase::kDetached:
    case Phase::kTrashed:
      return false;
    default:
      return true;
  }
}

bool MustBeExported(const Placement& placement) {
  return placement.granted && (placement.phase == Phase::kAttaching || placement.phase == Phase::kAttached ||
                               placement.phase == Phase::kDetaching || placement.phase == Phase::kRenewing);
}

void FindStrayInitiators(const Placement& placement, const ArrayEntry& entry, std::vector<ArrayFinding>& findings) {
  std::set<std::string> strays(entry.allowed.begin(), entry.allowed.end());
  for (const ArraySession& session : entry.sessions) strays.insert(session.initiator);
  strays.erase(placement.grant.initiator);
  if (placement.previous) strays.erase(placement.previous->initiator);
  for (const std::string& initiator : strays) {
    findings.push_back({Kind::kStrayInitiator, entry.id, initiator,
                        absl::StrCat("no record lets ", initiator, " in, and the array does; it is fenced")});
  }
}

}  // namespace

std::vector<ArrayFinding> CompareWithArray(const Dataset* record, const ArrayEntry& entry) {
  std::vector<ArrayFinding> findings;
  const bool open = entry.exported || !entry.allowed.empty() || !entry.sessions.empty();
  if (record == nullptr) {
    if (open) {
      findings.push_back(
          {Kind::kStrayExport, entry.id, "",
           absl::StrCat("the array exports ", entry.id.str(), ", which no record knows; it is cut off")});
    }
    findings.push_back({Kind::kUnknownLun, entry.id, "",
                        absl::StrCat(entry.id.str(),
                                     " is in the pool and no record knows it. It is left alone: run "
                                     "flocker-control once with --adopt to take it up, or remove its files")});
    return findings;
  }
  const Placement& placement = record->placement;
  if (placement.phase == Phase::kPurging) return findings;
  if (!entry.size && placement.phase != Phase::kProvisioning) {
    findings.push_back({Kind::kLostLun, entry.id, "", "its LUN is not in the pool"});
  }
  if (open && !MayBeExported(placement.phase)) {
    findings.push_back(
        {Kind::kStrayExport, entry.id, "",
         absl::StrCat("the array exports it although it is ", PhaseName(placement.phase).data(), "; it is cut off")});
  } else {
    FindStrayInitiators(placement, entry, findings);
    if (!open && MustBeExported(placement)) {
      findings.push_back({Kind::kLostExport, entry.id, "", "the array forgot its export"});
    }
  }
  return findings;
}

}  // namespace flocker
