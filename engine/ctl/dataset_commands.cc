#include "engine/ctl/dataset_commands.h"

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/listing.h"
#include "engine/ctl/operation.h"
#include "engine/ctl/selection.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

absl::Status List(Context& context, const ListingOptions& options) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  if (context.arguments.json) {
    std::cout << DatasetsJson(view, options) << "\n";
  } else {
    std::cout << FormatDatasets(view, options);
  }
  return absl::OkStatus();
}

ListingOptions Options(const Context& context) {
  return {.long_ids = context.arguments.long_ids,
          .deleted = context.arguments.deleted || context.arguments.trash,
          .live = !context.arguments.trash,
          .symbols = context.terminal.symbols,
          .colour = context.terminal.colour};
}

}  // namespace

absl::Status ListDatasets(Context& context) { return List(context, Options(context)); }

absl::Status ListTrash(Context& context) {
  ListingOptions options = Options(context);
  options.deleted = true;
  options.live = false;
  return List(context, options);
}

absl::Status CreateDataset(Context& context) {
  const Arguments& arguments = context.arguments;
  rpc::OperationRequest request;
  rpc::Create& create = *request.mutable_create();
  ASSIGN_OR_RETURN(const auto metadata, ParseMetadata(arguments.metadata));
  const auto name = metadata.find("name");
  if (name == metadata.end()) {
    return Refuse(Cause::kInvalid, "a dataset needs a name: add --metadata name=…");
  }
  create.set_name(name->second);
  create.mutable_metadata()->insert(metadata.begin(), metadata.end());
  create.set_root_mode(0777);  // as Flocker made them: containers run as any user
  if (!arguments.size.empty()) {
    ASSIGN_OR_RETURN(const uint64_t size, ParseSize(arguments.size));
    create.set_size(size);
  }
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, arguments.node));
  create.set_node_id(node.id());
  return Perform(context, view, request, Goal::kAttached,
                 {.doing = absl::StrCat("creating ", name->second),
                  .initiated = "created dataset in configuration, manually poll state with 'flockerctl list' to see it "
                               "show up.",
                  .done = absl::StrCat("created ", name->second, " on ", node.name())});
}

absl::Status MoveDataset(Context& context) {
  const Arguments& arguments = context.arguments;
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectDataset(view, arguments.dataset));
  ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, arguments.node));
  rpc::OperationRequest request;
  rpc::Rename& rename = *request.mutable_rename();
  rename.set_dataset_id(dataset.id());
  rename.set_node_id(node.id());
  rename.set_name(dataset.name());
  rename.set_force(arguments.force);
  return Perform(context, view, request, Goal::kAttached,
                 {.doing = absl::StrCat("moving ", dataset.name(), " to ", node.name()),
                  .initiated = "initiated move of dataset, please check state to observe it actually move.",
                  .done = absl::StrCat("moved ", dataset.name(), " to ", node.name())});
}

absl::Status DestroyDataset(Context& context) {
  const Arguments& arguments = context.arguments;
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectDataset(view, arguments.dataset));
  rpc::OperationRequest request;
  request.mutable_destroy()->set_dataset_id(dataset.id());
  request.mutable_destroy()->set_force(arguments.force);
  return Perform(context, view, request, Goal::kDestroyed,
                 {.doing = absl::StrCat("destroying ", dataset.name()),
                  .initiated = "marked dataset as deleted. poll list manually to see it disappear.",
                  .done = absl::StrCat("destroyed ", dataset.name())});
}

absl::Status RestoreDataset(Context& context) {
  const Arguments& arguments = context.arguments;
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectTrashed(view, arguments.dataset));
  rpc::OperationRequest request;
  rpc::Restore& restore = *request.mutable_restore();
  restore.set_dataset_id(dataset.id());
  restore.set_name(arguments.name);
  if (!arguments.node.empty()) {
    ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, arguments.node));
    restore.set_node_id(node.id());
  }
  const std::string& name = arguments.name.empty() ? dataset.name() : arguments.name;
  return Perform(context, view, request, Goal::kAttached,
                 {.doing = absl::StrCat("restoring ", name),
                  .initiated = "restored the dataset, poll state with 'flockerctl list' to see it attached.",
                  .done = absl::StrCat("restored ", name)});
}

absl::Status PurgeDataset(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectTrashed(view, context.arguments.dataset));
  rpc::OperationRequest request;
  request.mutable_purge()->set_dataset_id(dataset.id());
  RETURN_IF_ERROR(context.client.Execute(request).status());  // answered when the LUN is gone
  std::cout << (context.arguments.json ? GoneJson(dataset.id()) : "purged the dataset, its LUN is deleted.") << "\n";
  return absl::OkStatus();
}

absl::Status GrowDataset(Context& context) {
  ASSIGN_OR_RETURN(const uint64_t size, ParseSize(context.arguments.size));
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectDataset(view, context.arguments.dataset));
  rpc::OperationRequest request;
  request.mutable_change()->set_dataset_id(dataset.id());
  request.mutable_change()->set_size(size);
  return Perform(
      context, view, request, Goal::kAttached,
      {.doing = absl::StrCat("growing ", dataset.name()),
       .initiated = absl::StrCat("promised ", dataset.name(), " ", FormatSize(size),
                                 ", its LUN and filesystem grow now; 'flockerctl events' says if they cannot."),
       .done = absl::StrCat("grew ", dataset.name(), " to ", FormatSize(size))},
      /*waits_by_itself=*/false);
}

}  // namespace flocker
