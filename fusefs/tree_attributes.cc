#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "fusefs/attributes.h"
#include "fusefs/caller.h"
#include "fusefs/errno.h"
#include "fusefs/tree.h"

namespace flocker {
namespace {

// Whom to ask for an attribute: the catalogue is enough for most.
enum class Source { kCatalog, kAgent, kAgentWithHolders };

Source SourceOf(std::string_view name) {
  if (name == "holders" || name == "all") return Source::kAgentWithHolders;
  return name == "protect" || name.starts_with(kMetadataPrefix) ? Source::kAgent : Source::kCatalog;
}

std::string Created(const CatalogDataset& dataset) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(dataset.created_ms), absl::UTCTimeZone());
}

std::string All(const CatalogDataset& dataset, const std::string& node, const rpc::Description& description) {
  nlohmann::json all = {{"id", dataset.id.str()},
                        {"name", dataset.name},
                        {"node", node},
                        {"size", dataset.size},
                        {"used", dataset.used},
                        {"state", PhaseName(dataset.phase)},
                        {"epoch", dataset.epoch},
                        {"created", Created(dataset)},
                        {"error", dataset.error},
                        {"protect", description.protect()},
                        {"metadata", nlohmann::json::object()}};
  for (const auto& [key, value] : description.metadata()) all["metadata"][key] = value;
  if (description.has_holders()) all["holders"] = description.holders();
  // What a process calls itself is any bytes.
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<std::string> UnlessEmpty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

// The value of flocker.<name>, if the dataset has it. `node` is the name of the one that shows it, empty in the trash.
std::optional<std::string> ValueOf(std::string_view name, const CatalogDataset& dataset, const std::string& node,
                                   const rpc::Description& description) {
  if (name == "id") return dataset.id.str();
  if (name == "node") return UnlessEmpty(node);
  if (name == "state") return std::string(PhaseName(dataset.phase));
  if (name == "size") return absl::StrCat(dataset.size);
  if (name == "used") return dataset.used != 0 ? std::optional(absl::StrCat(dataset.used)) : std::nullopt;
  if (name == "epoch") return absl::StrCat(dataset.epoch);
  if (name == "error") return UnlessEmpty(dataset.error);
  if (name == "created") return Created(dataset);
  if (name == "protect") return description.protect() ? "1" : "0";
  if (name == "holders") return description.has_holders() ? std::optional(description.holders()) : std::nullopt;
  if (name == "all") return All(dataset, node, description);
  if (!name.starts_with(kMetadataPrefix)) return std::nullopt;
  const auto label = description.metadata().find(std::string(name.substr(kMetadataPrefix.size())));
  return label == description.metadata().end() ? std::nullopt : std::optional(label->second);
}

rpc::Change ToRpc(const ChangeWish& wish) {
  rpc::Change change;
  change.set_dataset_id(wish.id.str());
  change.set_size(wish.size);
  if (wish.protect) change.set_protect(*wish.protect);
  change.mutable_metadata()->insert(wish.metadata.begin(), wish.metadata.end());
  for (const std::string& key : wish.removed) change.add_removed_metadata(key);
  if (wish.keys == ChangeWish::Keys::kNew) change.set_keys(rpc::Change::NEW);
  if (wish.keys == ChangeWish::Keys::kPresent) change.set_keys(rpc::Change::PRESENT);
  return change;
}

// What xattr(7) calls an attribute that does not exist is no missing file.
int AttributeErrno(const absl::Status& status) {
  const int error = StatusErrno(status);
  return error == ENOENT ? ENODATA : error;
}

}  // namespace

void Tree::GetAttribute(Request request, const Inode& node, const std::string& name, size_t room) {
  const auto dataset = view_.Find(node.dataset);
  if (!dataset) return request.Error(ESTALE);
  const std::string shown_on = dataset->node.empty() ? "" : view_.NodeName(dataset->node);
  auto answer = [dataset = *dataset, shown_on, name, room](Request asked, const rpc::Description& description) {
    const auto value = ValueOf(name, dataset, shown_on, description);
    value ? asked.Attribute(*value, room) : asked.Error(ENODATA);
  };
  const Source source = SourceOf(name);
  if (source == Source::kCatalog) return answer(std::move(request), {});
  const bool here = dataset->serial != 0 && view_.IsHere(*dataset);
  operations_.Ask(std::move(request), dataset->id, here && source == Source::kAgentWithHolders, std::move(answer));
}

absl::StatusOr<ChangeWish> Tree::CheckAttribute(const Request& request, const std::string& name,
                                                const std::optional<std::string>& value, int flags) const {
  ASSIGN_OR_RETURN(ChangeWish wish, ParseChange(name, value, flags));
  if (!MayAdminister(request)) {
    return Refuse(Cause::kForbidden, "that takes CAP_SYS_ADMIN on this machine; a container's root does not have it");
  }
  RETURN_IF_ERROR(CheckReach());
  return wish;
}

void Tree::SetAttribute(Request request, const Inode& node, const std::string& name,
                        const std::optional<std::string>& value, int flags) {
  const auto before = view_.Find(node.dataset);
  if (!before) return request.Error(ESTALE);
  auto wish = CheckAttribute(request, name, value, flags);
  if (!wish.ok()) {
    refusals_.Here({before->id, before->name}, wish.status());
    return request.Error(AttributeErrno(wish.status()));
  }
  wish->id = before->id;
  const bool grows = wish->size > before->size && before->phase == Phase::kAttached;
  Operations::Operation operation;
  *operation.request.mutable_caller() = DescribeCaller(request);
  *operation.request.mutable_change() = ToRpc(*wish);
  // A larger LUN takes a new session. Who looks with df afterwards shall see it.
  operation.settled = [this, grows, before](const DatasetId& id) {
    const auto dataset = view_.Find(id);
    return !grows || !dataset || (dataset->phase == Phase::kAttached && dataset->epoch > before->epoch);
  };
  operation.done = [this, id = before->id, shown = before->name](Request answered,
                                                                 const absl::StatusOr<DatasetId>& outcome) {
    if (!outcome.ok()) refusals_.Answered({id, shown}, outcome.status());
    answered.Error(outcome.ok() ? 0 : AttributeErrno(outcome.status()));
  };
  operations_.Submit(std::move(request), std::move(operation));
}

}  // namespace flocker
