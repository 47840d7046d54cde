// What is asked of nodes: to take no more datasets, to take them again, to be forgotten.
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/control/audit.h"
#include "engine/control/controller.h"
#include "engine/model/nodes.h"

namespace flocker {

void Controller::ChangeNode(const rpc::OperationRequest& request, ReplyTo to) {
  const NodeId id = NodeId::Parse(request.node_change().node_id()).value_or(NodeId());
  const std::string audit = Audit(request.caller());
  absl::Status status = to.session == 0
                            ? ApplyToNode(request.node_change(), audit)
                            : Refuse(Cause::kForbidden, "nodes are changed with flockerctl, not through a tree");
  if (!status.ok()) {
    Event& event = AddEvent("refused", nullptr, absl::StrCat(status.message(), " (asked ", audit, ")"));
    event.node = id;
    event.cause = std::string(CauseName(CauseOf(status)));
  }
  Answer(to, request.id(), DatasetId(), status);
}

absl::Status Controller::ApplyToNode(const rpc::NodeChange& change, const std::string& audit) {
  const NodeId id = NodeId::Parse(change.node_id()).value_or(NodeId());
  if (id.empty()) return Refuse(Cause::kInvalid, absl::StrCat("'", change.node_id(), "' is no node's id"));
  RETURN_IF_ERROR(world_.CheckRoom());
  const Node* node = cluster_.FindNode(id);
  const std::string name = NodeLabel(cluster_, id);
  const std::string meta = absl::StrCat(kDrainedMeta, id.str());
  const auto note = [&](const std::string& kind, const std::string& what) {
    AddEvent(kind, nullptr, absl::StrCat("node ", name, " ", what, ", asked ", audit)).node = id;
    sessions_.Changed(id);
  };
  switch (change.kind()) {
    case rpc::NodeChange::DRAIN:
    case rpc::NodeChange::UNDRAIN: {
      const bool drained = change.kind() == rpc::NodeChange::DRAIN;
      if (node == nullptr) return Refuse(Cause::kNotFound, absl::StrCat("no node has the id ", id.str()));
      if (cluster_.Drained(id) == drained) return absl::OkStatus();
      cluster_.SetDrained(id, drained);
      batch_.meta[meta] = drained ? "1" : "";
      note(drained ? "drained" : "undrained", drained ? "takes no more datasets" : "takes datasets again");
      return absl::OkStatus();
    }
    case rpc::NodeChange::REMOVE:
      if (node == nullptr) return absl::OkStatus();  // asked again after a lost answer
      RETURN_IF_ERROR(CheckRemovable(cluster_, id));
      cluster_.EraseNode(id);
      batch_.erase_nodes.push_back(id);
      batch_.meta[meta] = "";
      last_heard_.erase(id);
      vanished_at_.erase(id);
      note("removed", "was removed from the cluster");
      UpdateValve();
      return absl::OkStatus();
    default:
      return Refuse(Cause::kInvalid, "a change of a node that this control service does not know");
  }
}

}  // namespace flocker
