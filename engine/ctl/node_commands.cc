#include "engine/ctl/node_commands.h"

#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/listing.h"
#include "engine/ctl/selection.h"

namespace flocker {
namespace {

absl::Status Change(Context& context, const rpc::NodeView& node, rpc::NodeChange::Kind kind) {
  rpc::OperationRequest request;
  request.mutable_node_change()->set_node_id(node.id());
  request.mutable_node_change()->set_kind(kind);
  return context.client.Execute(request).status();
}

// Where they are, or are wanted.
std::vector<rpc::DatasetView> On(const rpc::ViewReply& view, const std::string& node_id) {
  std::vector<rpc::DatasetView> there;
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (dataset.deleted()) continue;
    if (dataset.node_id() == node_id || dataset.desired_node_id() == node_id) there.push_back(dataset);
  }
  return there;
}

std::string Names(const std::vector<rpc::DatasetView>& datasets) {
  return absl::StrJoin(datasets, ", ",
                       [](std::string* out, const rpc::DatasetView& dataset) { out->append(dataset.name()); });
}

// The result of a change: the node as it is now.
absl::Status PrintNode(Context& context, const std::string& node_id, const std::string& text) {
  if (!context.arguments.json) {
    std::cout << text << "\n";
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(rpc::ViewReply view, context.client.View());
  rpc::ViewReply alone;
  for (const rpc::NodeView& node : view.nodes()) {
    if (node.id() == node_id) *alone.add_nodes() = node;
  }
  std::cout << NodesJson(alone) << "\n";
  return absl::OkStatus();
}

// Moves what nobody uses; the reasons of what stayed, one a line.
std::string MoveAway(Context& context, const std::vector<rpc::DatasetView>& datasets, const rpc::NodeView& to) {
  std::string stayed;
  for (const rpc::DatasetView& dataset : datasets) {
    rpc::OperationRequest request;
    request.mutable_rename()->set_dataset_id(dataset.id());
    request.mutable_rename()->set_node_id(to.id());
    request.mutable_rename()->set_name(dataset.name());
    const absl::Status moved = context.client.Execute(request, /*to_its_end=*/true).status();
    if (moved.ok()) {
      std::cerr << "moved " << dataset.name() << " to " << to.name() << "\n";
    } else {
      absl::StrAppend(&stayed, "\n  ", dataset.name(), ": ", moved.message());
    }
  }
  return stayed;
}

}  // namespace

absl::Status ListNodes(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  if (context.arguments.json) {
    std::cout << NodesJson(view) << "\n";
  } else {
    std::cout << FormatNodes(view, {.long_ids = context.arguments.long_ids, .colour = context.terminal.colour});
  }
  return absl::OkStatus();
}

absl::Status DrainNode(Context& context) {
  ASSIGN_OR_RETURN(rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, context.arguments.node));
  rpc::NodeView to;
  if (!context.arguments.name.empty()) {
    ASSIGN_OR_RETURN(to, SelectNode(view, context.arguments.name));
    if (to.id() == node.id()) return Refuse(Cause::kInvalid, absl::StrCat(node.name(), " cannot be drained to itself"));
  }
  RETURN_IF_ERROR(Change(context, node, rpc::NodeChange::DRAIN));
  // What came there until it was drained counts too.
  ASSIGN_OR_RETURN(view, context.client.View());
  const auto there = On(view, node.id());
  std::string text = absl::StrCat(node.name(), " is drained: it takes no more datasets");
  if (there.empty()) return PrintNode(context, node.id(), absl::StrCat(text, ", and has none."));
  if (to.id().empty()) {
    return PrintNode(context, node.id(),
                     absl::StrCat(text, ". It still has ", Names(there),
                                  ": move them, or drain it with --to <node>, which moves those that nobody uses."));
  }
  const std::string stayed = MoveAway(context, there, to);
  if (!stayed.empty()) {
    return Refuse(Cause::kBusy, absl::StrCat(text, ", but these could not be moved to ", to.name(), ":", stayed));
  }
  return PrintNode(context, node.id(), absl::StrCat(text, ", and what it had is on ", to.name(), "."));
}

absl::Status UndrainNode(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, context.arguments.node));
  RETURN_IF_ERROR(Change(context, node, rpc::NodeChange::UNDRAIN));
  return PrintNode(context, node.id(), absl::StrCat(node.name(), " takes datasets again."));
}

absl::Status RemoveNode(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, context.arguments.node));
  RETURN_IF_ERROR(Change(context, node, rpc::NodeChange::REMOVE));
  return PrintNode(context, node.id(), absl::StrCat(node.name(), " is removed; its agent may join anew."));
}

}  // namespace flocker
