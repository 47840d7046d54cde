#include "convergence.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"

namespace flocker::sim {
namespace {

std::string CheckRecord(const Dataset& dataset) {
  const Placement& placement = dataset.placement;
  if (!dataset.operation.done) return absl::StrCat("its ", dataset.operation.kind, " is not done");
  if (placement.phase == Phase::kTrashed) return dataset.desired.deleted ? "" : "it is trashed and not deleted";
  if (placement.phase != Phase::kAttached) return absl::StrCat("it is ", PhaseName(placement.phase).data());
  if (dataset.desired.deleted) return "it is attached and deleted";
  if (placement.node != dataset.desired.node) return "it is attached elsewhere";
  if (dataset.grows_from != 0) return "its LUN has not grown";
  if (!dataset.formatted) return "it is attached and not recorded as formatted";
  if (dataset.name != dataset.desired.name) return "its name is not what it should be";
  return "";
}

std::string CheckArray(const Dataset& dataset, const std::map<DatasetId, ArrayEntry>& entries) {
  const auto it = entries.find(dataset.id);
  if (it == entries.end() || !it->second.size) return "its LUN is not there";
  const ArrayEntry& entry = it->second;
  // In the trash it may be half-way: grown, and nobody heard of it.
  const uint64_t least = dataset.grows_from != 0 ? dataset.grows_from : dataset.size;
  if (*entry.size < least || *entry.size > dataset.size) return "its LUN has another size";
  if (dataset.placement.phase == Phase::kTrashed) {
    if (entry.exported || !entry.allowed.empty() || !entry.sessions.empty()) return "it is trashed and exported";
    return "";
  }
  if (entry.allowed != std::vector{dataset.placement.grant.initiator}) return "the array admits another";
  if (entry.sessions.size() != 1) return absl::StrCat("it has ", entry.sessions.size(), " sessions");
  return "";
}

std::string CheckNode(const Dataset& dataset, const SimNode& node) {
  const MountKey key{dataset.id, dataset.placement.mount_epoch};
  const auto holding = node.agent->holdings().find(key);
  if (holding == node.agent->holdings().end()) return "its node does not hold it";
  const Attachment& attachment = holding->second->attachment();
  if (attachment.epoch != dataset.placement.epoch) return "its node has another epoch";
  if (attachment.stage != Stage::kMounted || attachment.aim != Aim::kAttach) return "its node has not mounted it";
  const auto stack = node.machine.stacks().find(key);
  if (stack == node.machine.stacks().end() || !stack->second.mounted) return "it is not mounted";
  if (stack->second.filesystem->failed()) return "its filesystem has failed";
  if (stack->second.lun->state() != LunProcess::State::kServing) return "its LUN server has no session";
  return "";
}

// What a node has must be what the records say it has.
std::string CheckLeftovers(const Sim& sim, const SimNode& node) {
  std::set<MountKey> rightful;
  for (const auto& [id, dataset] : sim.durable.datasets()) {
    if (dataset.placement.node == node.machine.id()) rightful.insert({id, dataset.placement.mount_epoch});
  }
  const auto stray = [&](const auto& keys, const char* what) -> std::string {
    for (const auto& [key, value] : keys) {
      if (!rightful.contains(key)) {
        return absl::StrCat(node.machine.name(), " still has ", what, " of ", key.first.Short(), " m", key.second);
      }
    }
    return "";
  };
  if (std::string what = stray(node.agent->holdings(), "a holding"); !what.empty()) return what;
  if (std::string what = stray(node.machine.journal, "a journal entry"); !what.empty()) return what;
  return stray(node.machine.stacks(), "mounts or processes");
}

std::string CheckView(const ControlHost& control, const SimNode& node) {
  const auto& datasets = control.controller()->cluster().datasets();
  if (node.agent->view().size() != datasets.size()) return absl::StrCat(node.machine.name(), " sees another cluster");
  for (const auto& [id, dataset] : datasets) {
    const auto it = node.agent->view().find(id.str());
    if (it == node.agent->view().end() || it->second.epoch() != dataset.placement.epoch ||
        it->second.phase() != PhaseName(dataset.placement.phase) || it->second.name() != dataset.name) {
      return absl::StrCat(node.machine.name(), " sees ", id.Short(), " as it was");
    }
  }
  return "";
}

}  // namespace

std::string Unrest(const Sim& sim, const SimArray& array, const ControlHost& control,
                   const std::vector<std::unique_ptr<SimNode>>& nodes) {
  if (!control.running()) return "control is down";
  std::set<std::string> names;
  const std::map<DatasetId, ArrayEntry> entries = array.Everything();
  for (const auto& [id, dataset] : sim.durable.datasets()) {
    std::string what = CheckRecord(dataset);
    if (what.empty()) what = CheckArray(dataset, entries);
    for (const auto& node : nodes) {
      if (what.empty() && dataset.placement.node == node->machine.id()) what = CheckNode(dataset, *node);
    }
    if (!what.empty())
      return absl::StrCat(id.Short(), ": ", what, dataset.error.empty() ? "" : " (", dataset.error,
                          dataset.error.empty() ? "" : ")");
    if (control.controller()->WishOf(id) != nullptr) return absl::StrCat(id.Short(), ": something is wished of it");
    if (dataset.placement.phase != Phase::kTrashed && !names.insert(dataset.name).second) {
      return absl::StrCat("two datasets are named ", dataset.name);
    }
  }
  for (const auto& [id, entry] : entries) {
    if (sim.durable.Find(id) == nullptr) return absl::StrCat(id.Short(), ": the array has it, the records have not");
  }
  for (const auto& node : nodes) {
    if (std::string what = CheckLeftovers(sim, *node); !what.empty()) return what;
    if (std::string what = CheckView(control, *node); !what.empty()) return what;
  }
  return "";
}

}  // namespace flocker::sim
