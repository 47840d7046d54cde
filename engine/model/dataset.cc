#include "engine/model/dataset.h"

#include <array>
#include <utility>

namespace flocker {
namespace {

constexpr std::array<std::pair<Phase, std::string_view>, 11> kPhases = {{
    {Phase::kProvisioning, "provisioning"},
    {Phase::kDetached, "detached"},
    {Phase::kGranting, "granting"},
    {Phase::kAttaching, "attaching"},
    {Phase::kAttached, "attached"},
    {Phase::kDetaching, "detaching"},
    {Phase::kRevoking, "revoking"},
    {Phase::kRenewing, "renewing"},
    {Phase::kFencing, "fencing"},
    {Phase::kTrashed, "trashed"},
    {Phase::kPurging, "purging"},
}};

}  // namespace

std::string_view PhaseName(Phase phase) { return kPhases[static_cast<size_t>(phase)].second; }

std::optional<Phase> PhaseFromName(std::string_view name) {
  for (const auto& [phase, text] : kPhases) {
    if (text == name) return phase;
  }
  return std::nullopt;
}

void Dataset::SetName(const std::string& new_name) {
  if (name == new_name) return;
  name = new_name;
  metadata[kNameKey] = new_name;
}

void Dataset::Begin(Operation next) {
  if (!operation.id.empty()) earlier.push_back(std::move(operation));
  if (earlier.size() > kEarlierOperations) earlier.erase(earlier.begin());
  operation = std::move(next);
}

std::optional<NodeId> Dataset::ShownOn() const {
  switch (placement.phase) {
    case Phase::kPurging:
      return std::nullopt;
    case Phase::kGranting:
    case Phase::kAttaching:
    case Phase::kAttached:
    case Phase::kDetaching:
    case Phase::kRenewing:
    case Phase::kFencing:
      return placement.node;
    case Phase::kProvisioning:
    case Phase::kDetached:
    case Phase::kRevoking:
    case Phase::kTrashed:
      if (desired.deleted) return std::nullopt;
      return desired.node;
  }
  return std::nullopt;
}

}  // namespace flocker
