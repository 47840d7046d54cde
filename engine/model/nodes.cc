#include "engine/model/nodes.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr size_t kNamed = 8;  // datasets that a refusal names; more are counted

}  // namespace

std::string NodeLabel(const Cluster& cluster, const NodeId& id) {
  const Node* node = cluster.FindNode(id);
  return node != nullptr ? node->name : id.str();
}

absl::Status CheckTakes(const Cluster& cluster, const NodeId& node) {
  if (cluster.FindNode(node) == nullptr) {
    return Refuse(Cause::kNodeDown, absl::StrCat("no node has the id ", node.str(), "; see flockerctl list-nodes"));
  }
  const std::string name = NodeLabel(cluster, node);
  if (cluster.LivenessOf(node) != Liveness::kConnected) {
    return Refuse(Cause::kNodeDown,
                  absl::StrCat("node ", name, " is not connected; start its flocker-agent or choose another node"));
  }
  if (!cluster.Drained(node)) return absl::OkStatus();
  return Refuse(Cause::kForbidden,
                absl::StrCat("node ", name,
                             " is drained and takes no datasets; choose another node, or let it with "
                             "flockerctl nodes undrain ",
                             name));
}

absl::Status CheckRemovable(const Cluster& cluster, const NodeId& node) {
  const std::string name = NodeLabel(cluster, node);
  std::vector<std::string> there;
  size_t count = 0;
  for (const DatasetId& id : cluster.DatasetsOf(node)) {
    const Dataset& dataset = *cluster.Find(id);
    if (dataset.desired.deleted && dataset.placement.node != node) continue;
    if (++count <= kNamed) there.push_back(dataset.name);
  }
  if (count > 0) {
    return Refuse(Cause::kBusy, absl::StrCat("node ", name, " has ", count, count == 1 ? " dataset (" : " datasets (",
                                             absl::StrJoin(there, ", "), count > kNamed ? ", …" : "",
                                             "); move them away or destroy them first"));
  }
  if (cluster.LivenessOf(node) == Liveness::kDown) return absl::OkStatus();
  return Refuse(Cause::kBusy, absl::StrCat("node ", name,
                                           " is connected, or was a moment ago; stop its flocker-agent first, or it "
                                           "would join again"));
}

}  // namespace flocker
