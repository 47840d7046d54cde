#include "users.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/size.h"

namespace flocker::sim {

namespace {

const std::vector<std::string> kNames = {"a", "b", "c", "d", "e"};

}  // namespace

rpc::OperationRequest Users::Compose() {
  rpc::OperationRequest request;
  request.set_id(absl::StrCat(++last_operation_, "-", sim_.random.Hex(4)));
  const std::string node = nodes_[sim_.random.Below(nodes_.size())]->machine.id().str();
  std::vector<const Dataset*> live;
  std::vector<const Dataset*> trash;
  for (const auto& [id, dataset] : sim_.durable.datasets()) {
    // Now and then one is taken for what it is not.
    const bool trashed = dataset.desired.deleted != sim_.random.Percent(5);
    (trashed ? trash : live).push_back(&dataset);
  }
  if (!trash.empty() && sim_.random.Percent(15)) {
    ComposeForTrash(*sim_.random.Pick(trash), request);
    return request;
  }
  if (live.empty() || (live.size() < 3 && sim_.random.Percent(40))) {
    request.mutable_create()->set_node_id(node);
    request.mutable_create()->set_name(sim_.random.Pick(kNames));
    request.mutable_create()->set_size(kMinSize);
    return request;
  }
  const Dataset& dataset = *sim_.random.Pick(live);
  if (sim_.random.Percent(15)) {
    request.mutable_destroy()->set_dataset_id(dataset.id.str());
    request.mutable_destroy()->set_force(sim_.random.Percent(20));
    return request;
  }
  if (live.size() > 1 && sim_.random.Percent(20)) {
    request.mutable_exchange()->set_dataset_id(dataset.id.str());
    request.mutable_exchange()->set_other_id(sim_.random.Pick(live)->id.str());  // itself, now and then
    request.mutable_exchange()->set_force(sim_.random.Percent(20));
    return request;
  }
  if (sim_.random.Percent(15)) {
    request.mutable_change()->set_dataset_id(dataset.id.str());
    request.mutable_change()->set_size(kMinSize * (1 + sim_.random.Below(8)));  // some would shrink it
    return request;
  }
  request.mutable_rename()->set_dataset_id(dataset.id.str());
  request.mutable_rename()->set_node_id(node);
  request.mutable_rename()->set_name(sim_.random.Percent(70) ? dataset.name : sim_.random.Pick(kNames));
  request.mutable_rename()->set_force(sim_.random.Percent(20));
  return request;
}

void Users::ComposeForTrash(const Dataset& dataset, rpc::OperationRequest& request) {
  if (sim_.random.Percent(50)) {
    request.mutable_purge()->set_dataset_id(dataset.id.str());
    return;
  }
  rpc::Restore& restore = *request.mutable_restore();
  restore.set_dataset_id(dataset.id.str());
  if (sim_.random.Percent(50)) restore.set_node_id(nodes_[sim_.random.Below(nodes_.size())]->machine.id().str());
  if (sim_.random.Percent(30)) restore.set_name(sim_.random.Pick(kNames));
}

void Users::Ask() {
  const rpc::OperationRequest request = Compose();
  const bool tree = sim_.random.Percent(70);
  const auto ask = [this, tree, request] {
    ++asked_[request.id()];
    tree ? ThroughTree(request) : ThroughCall(request);
  };
  sim_.Say("user    asks ", request.ShortDebugString());
  ask();
  // A client that is impatient, or not sure that it was heard, asks again with the same id.
  if (sim_.random.Percent(15)) {
    sim_.clock.After(sim_.random.Between(absl::ZeroDuration(), absl::Seconds(1)), [this, ask, id = request.id()] {
      if (!answered_.contains(id)) ask();
    });
  }
}

void Users::AskForPromise() {
  std::vector<const Dataset*> live;
  for (const auto& [id, dataset] : sim_.durable.datasets()) {
    if (!dataset.desired.deleted && dataset.desired.node) live.push_back(&dataset);
  }
  if (live.empty()) return;
  const Dataset& dataset = *sim_.random.Pick(live);
  const NodeId node = nodes_[sim_.random.Below(nodes_.size())]->machine.id();
  if (sim_.random.Percent(60)) {
    const NodeId holder = sim_.random.Percent(80) ? *dataset.desired.node : node;
    const absl::Duration keep = sim_.random.Between(absl::ZeroDuration(), absl::Seconds(6));
    sim_.Say("user    leases ", dataset.id.Short(), " to ", holder.Short(), " for ", absl::FormatDuration(keep));
    return control_.Change([id = dataset.id, holder, keep](Controller& controller, absl::Duration now) {
      controller.AcquireLease(id, holder, keep, now).IgnoreError();
    });
  }
  const bool destroys = sim_.random.Percent(20);
  sim_.Say("user    wishes ", dataset.id.Short(), destroys ? " destroyed" : " on ", destroys ? "" : node.Short());
  control_.Change([id = dataset.id, node, destroys](Controller& controller, absl::Duration now) {
    controller.OnWish({.dataset = id, .node = destroys ? std::nullopt : std::optional(node)}, now).IgnoreError();
  });
}

void Users::ThroughTree(const rpc::OperationRequest& request) {
  const auto& node = nodes_[sim_.random.Below(nodes_.size())];
  if (node->agent == nullptr || node->machine.paused()) return;
  node->agent->Execute(request, [this, request](const rpc::OperationReply& reply) { Answered(request, reply); });
}

void Users::ThroughCall(const rpc::OperationRequest& request) {
  control_.Call(request, [this, request](const rpc::OperationReply& reply) { Answered(request, reply); });
}

void Users::Answered(const rpc::OperationRequest& request, const rpc::OperationReply& reply) {
  sim_.Say(
      "user    hears ", request.id(), ": ",
      reply.outcome().cause().empty() ? "ok" : absl::StrCat(reply.outcome().cause(), " ", reply.outcome().message()));
  answered_.insert(request.id());
  // Who asked twice and hears one refusal knows nothing yet: the other may be heard and granted.
  if (reply.outcome().cause().empty() || asked_[request.id()] == 1) sim_.truth.Answered(request, reply);
}

void Users::Hold() {
  const auto& node = nodes_[sim_.random.Below(nodes_.size())];
  for (const auto& [key, stack] : node->machine.stacks()) {
    if (!stack.mounted || sim_.random.Percent(50)) continue;
    const bool hidden = sim_.random.Percent(30);
    sim_.Say("user    holds ", key.first.Short(), " on ", node->machine.name(), hidden ? ", hidden" : "");
    stack.filesystem->Hold(hidden);
    sim_.clock.After(sim_.random.Between(absl::Milliseconds(10), absl::Seconds(3)),
                     [weak = std::weak_ptr<Filesystem>(stack.filesystem)] {
                       if (const auto filesystem = weak.lock()) filesystem->LetGo();
                     });
  }
}

void Users::LetGoAll() {
  for (const auto& node : nodes_) {
    for (const auto& [key, stack] : node->machine.stacks()) {
      if (stack.filesystem != nullptr) stack.filesystem->LetGo();
    }
  }
}

}  // namespace flocker::sim
