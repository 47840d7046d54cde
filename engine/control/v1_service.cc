#include "engine/control/v1_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

using Kind = V1Result::Kind;

V1Result Refused(const absl::Status& status) {
  return {.kind = Kind::kRefused, .text = absl::StrCat(CauseName(CauseOf(status)).data(), ": ", status.message())};
}

}  // namespace

void V1Service::StageDataset(const Controller& controller, const DatasetId& id) {
  const Cluster& cluster = controller.cluster();
  state_.StageDataset(id,
                      {.dataset = cluster.Find(id),
                       .wish = controller.WishOf(id),
                       .asked_size = controller.AskedSizeOf(id),
                       .lease = cluster.LeaseOf(id),
                       .lease_end = controller.LeaseEnd(id)},
                      cluster);
}

void V1Service::Begin(const Controller& controller) {
  for (const auto& [id, dataset] : controller.cluster().datasets()) StageDataset(controller, id);
  for (const auto& [id, lease] : controller.cluster().leases()) StageDataset(controller, id);
  state_.StageNodes(controller.cluster());
  state_.Publish();
}

void V1Service::Stage(Controller& controller) {
  const Controller::Changes changes = controller.TakeChanges();
  for (const DatasetId& id : changes.datasets) StageDataset(controller, id);
  if (changes.nodes) state_.StageNodes(controller.cluster());
}

void V1Service::Flushed(Controller& controller) {
  Stage(controller);
  state_.Publish();
  for (const auto& [done, result] : std::exchange(answers_, {})) done(result);
}

std::optional<V1Result> V1Service::Mismatch(Controller& controller, const Tags& tags) {
  if (tags.empty()) return std::nullopt;
  Stage(controller);
  const std::string now = state_.StagedTag();
  if (std::find(tags.begin(), tags.end(), now) != tags.end()) return std::nullopt;
  return V1Result{.kind = Kind::kTagMismatch, .text = now};
}

V1Result V1Service::Configured(Controller& controller, const DatasetId& id) {
  Stage(controller);
  const auto text = state_.StagedConfiguration(id);
  if (text) return {.kind = Kind::kDone, .text = *text};
  return {.kind = Kind::kRefused, .text = absl::StrCat("dataset ", id.str(), " is gone again")};
}

void V1Service::CheckTags(const Tags& tags, Done done) {
  runner_.Post([this, tags, done = std::move(done)](Controller& controller, absl::Duration) {
    AnswerLater(done, Mismatch(controller, tags).value_or(V1Result()));
  });
}

void V1Service::Create(const Tags& tags, const CreateBody& body, Done done) {
  rpc::OperationRequest request;
  request.set_id(DatasetId::FromRandomHex(RandomHex(16)).str());
  request.mutable_caller()->set_via("the REST API");
  rpc::Create& create = *request.mutable_create();
  const DatasetId id = body.dataset_id.value_or(DatasetId::FromRandomHex(RandomHex(16)));
  create.set_dataset_id(id.str());
  create.set_node_id(body.primary.str());
  create.set_size(body.maximum_size);
  create.mutable_metadata()->insert(body.metadata.begin(), body.metadata.end());
  create.set_root_mode(0777);  // as Flocker made them: containers run as any user
  create.set_v1(true);
  runner_.Post([=, this, done = std::move(done)](Controller& controller, absl::Duration now) {
    // It is executed once the array told its space, so what it must find is looked at then.
    const auto failure = std::make_shared<std::optional<V1Result>>();
    const auto condition = [=, this, &controller] {
      *failure = Mismatch(controller, tags);
      if (!*failure && (controller.cluster().Find(id) != nullptr || controller.Purged(id))) {
        *failure = V1Result{.kind = Kind::kIdInUse};
      }
      return *failure ? Refuse(Cause::kExists, "not what the client expected") : absl::OkStatus();
    };
    const uint64_t call = calls_.Add([=, this, &controller](const rpc::OperationReply& reply) {
      const absl::Status status = FromOutcome(reply.outcome());
      if (*failure) return AnswerLater(done, **failure);
      if (!status.ok() && CauseOf(status) != Cause::kInProgress) return AnswerLater(done, Refused(status));
      AnswerLater(done, Configured(controller, id));
    });
    controller.OnOperation(request, {.session = 0, .call = call}, now, condition);
  });
}

const Dataset* V1Service::FindOr(Controller& controller, const Tags& tags, const std::string& id, V1Result& failure) {
  if (auto mismatch = Mismatch(controller, tags)) {
    failure = *std::move(mismatch);
    return nullptr;
  }
  const auto parsed = DatasetId::Parse(id);
  failure.kind = Kind::kNotFound;
  if (!parsed || parsed->str() != id) return nullptr;  // v1 compares the text as it is
  const Dataset* dataset = controller.cluster().Find(*parsed);
  if (dataset == nullptr && controller.Purged(*parsed)) failure.kind = Kind::kDeleted;
  return dataset;
}

void V1Service::Move(const Tags& tags, const std::string& id, const MoveBody& body, Done done) {
  runner_.Post([=, this, done = std::move(done)](Controller& controller, absl::Duration now) {
    V1Result failure;
    const Dataset* dataset = FindOr(controller, tags, id, failure);
    if (dataset == nullptr) return AnswerLater(done, failure);
    const Wish* wish = controller.WishOf(dataset->id);
    if (dataset->desired.deleted || (wish != nullptr && !wish->node))
      return AnswerLater(done, {.kind = Kind::kDeleted});
    const std::optional<NodeId> primary = wish != nullptr ? wish->node : dataset->desired.node;
    const DatasetId dataset_id = dataset->id;
    if (body.primary && body.primary != primary) {
      const absl::Status status = controller.OnWish({.dataset = dataset_id, .node = body.primary}, now);
      if (!status.ok()) return AnswerLater(done, Refused(status));
    }
    AnswerLater(done, Configured(controller, dataset_id));
  });
}

void V1Service::Delete(const Tags& tags, const std::string& id, Done done) {
  runner_.Post([=, this, done = std::move(done)](Controller& controller, absl::Duration now) {
    V1Result failure;
    const Dataset* dataset = FindOr(controller, tags, id, failure);
    if (dataset == nullptr && failure.kind == Kind::kDeleted) {  // its record is gone, and with it what it was
      const std::string text = absl::StrCat(R"({"dataset_id":")", id, R"(","deleted":true,"metadata":{}})");
      return AnswerLater(done, {.kind = Kind::kDone, .text = text});
    }
    if (dataset == nullptr) return AnswerLater(done, failure);
    const Wish* wish = controller.WishOf(dataset->id);
    const DatasetId dataset_id = dataset->id;
    if (!dataset->desired.deleted && (wish == nullptr || wish->node)) {
      const absl::Status status = controller.OnWish({.dataset = dataset_id, .node = std::nullopt}, now);
      if (!status.ok()) return AnswerLater(done, Refused(status));
    }
    AnswerLater(done, Configured(controller, dataset_id));
  });
}

void V1Service::AcquireLease(const LeaseBody& body, Done done) {
  runner_.Post([=, this, done = std::move(done)](Controller& controller, absl::Duration now) {
    const std::optional<absl::Duration> keep =
        body.expires ? std::optional(absl::Seconds(*body.expires)) : std::nullopt;
    const auto renewed = controller.AcquireLease(body.dataset, body.node, keep, now);
    if (renewed.ok()) return AnswerLater(done, {.kind = *renewed ? Kind::kDone : Kind::kCreated});
    const bool held = CauseOf(renewed.status()) == Cause::kExists;
    AnswerLater(done, held ? V1Result{.kind = Kind::kLeaseHeld} : Refused(renewed.status()));
  });
}

void V1Service::ReleaseLease(const DatasetId& id, Done done) {
  runner_.Post([this, id, done = std::move(done)](Controller& controller, absl::Duration now) {
    const auto end = controller.LeaseEnd(id);
    const auto released = controller.ReleaseLease(id);
    if (!released.ok()) return AnswerLater(done, {.kind = Kind::kNotFound});
    V1Result result{.lease = *released};
    if (end) result.left = *end - now;
    AnswerLater(done, std::move(result));
  });
}

}  // namespace flocker
