#include "engine/agent/reconciler.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/log.h"

namespace flocker {

Reconciler::Reconciler(Config config) : config_(std::move(config)), ticker_(config_.interval, [this] { Look(); }) {}

std::vector<Reconciler::Finding> Reconciler::TakeFindings() {
  const MutexLock lock(mutex_);
  return std::exchange(findings_, {});
}

void Reconciler::Look() {
  // Held before or after the look: what was on its way in, or out, meanwhile is no stray.
  std::set<AttachmentKey> held = config_.held();
  const auto found = FindTraces(config_.root);
  if (!found.ok()) {
    spdlog::warn("this machine cannot be compared with what is held: {}", std::string(found.status().message()));
    return;
  }
  held.merge(config_.held());
  std::set<AttachmentKey> strays;
  for (const auto& [key, traces] : *found) {
    if (held.contains(key)) continue;
    strays.insert(key);
    if (!known_.contains(key)) {
      const std::string message = absl::StrCat("mount epoch ", key.second, " of it is not held here, but there is ",
                                               absl::StrJoin(traces.what, ", "), "; removed");
      spdlog::warn("{}: {}", key.first.str(), message);
      const MutexLock lock(mutex_);
      findings_.push_back({key.first, message});
    }
    if (const absl::Status removed = RemoveTraces(config_.root, key, traces); !removed.ok()) {
      spdlog::warn("{}: a stray stays: {}", key.first.str(), std::string(removed.message()));
    }
  }
  known_ = std::move(strays);
}

}  // namespace flocker
