#include "engine/ctl/lease_commands.h"

#include <iostream>
#include <string>

#include "engine/base/status.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/leases.h"
#include "engine/ctl/selection.h"

namespace flocker {

absl::Status ListLeases(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  if (context.arguments.json) {
    std::cout << LeasesJson(view) << "\n";
  } else {
    std::cout << FormatLeases(view);
  }
  return absl::OkStatus();
}

absl::Status AcquireLease(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  rpc::LeaseRequest request;
  ASSIGN_OR_RETURN(const std::string dataset, SelectLeased(view, context.arguments.dataset));
  ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, context.arguments.node));
  request.set_dataset_id(dataset);
  request.set_node_id(node.id());
  if (context.arguments.seconds) request.set_seconds(*context.arguments.seconds);
  ASSIGN_OR_RETURN(const rpc::LeaseView lease, context.client.AcquireLease(request));
  if (context.arguments.json) {
    std::cout << LeaseJson(lease) << "\n";
  } else {
    std::cout << (lease.renewed() ? "renewed" : "acquired") << " the lease: the dataset stays on " << node.name()
              << ".\n";
  }
  return absl::OkStatus();
}

absl::Status ReleaseLease(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const std::string dataset, SelectLeased(view, context.arguments.dataset));
  ASSIGN_OR_RETURN(const rpc::LeaseView lease, context.client.ReleaseLease(dataset));
  if (context.arguments.json) {
    std::cout << LeaseJson(lease) << "\n";
  } else {
    std::cout << "released the lease.\n";
  }
  return absl::OkStatus();
}

}  // namespace flocker
