#include "engine/ctl/history_commands.h"

#include <iostream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/ctl/event_text.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/progress.h"
#include "engine/ctl/selection.h"

namespace flocker {
namespace {

class EventPrinter {
 public:
  EventPrinter(const rpc::ViewReply& view, bool json) : json_(json) {
    for (const rpc::NodeView& node : view.nodes()) names_.emplace(node.id(), node.name());
  }

  // Flushed: whoever follows reads it now.
  void Print(const rpc::EventView& event) const {
    std::cout << (json_ ? EventJson(event) : FormatEvent(event, names_)) << std::endl;
  }

 private:
  const bool json_;
  std::map<std::string, std::string> names_;
};

}  // namespace

absl::Status Why(Context& context) {
  const std::string& text = context.arguments.dataset;
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  const EventPrinter printer(view, context.arguments.json);
  const auto dataset = SelectDataset(view, text);
  auto event = context.client.Why(text);
  // A short prefix of an id, or a dataset that was refused something under an earlier name.
  if (!event.ok() && dataset.ok()) event = context.client.Why(dataset->id());
  if (event.ok()) printer.Print(*event);
  if (context.arguments.json) return event.status();
  if (dataset.ok() && dataset->phase() != "attached") {
    std::cout << dataset->name() << " is " << dataset->phase() << ": " << StepText(*dataset) << "\n";
    return absl::OkStatus();
  }
  return event.status();
}

absl::Status Events(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  const EventPrinter printer(view, context.arguments.json);
  const auto print = [&](const rpc::EventView& event) { printer.Print(event); };
  if (!context.arguments.follow) return context.client.Events(context.arguments.from, print);
  Cancellation never;
  return context.client.Follow(context.arguments.from, print, never);
}

absl::Status Watch(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  const EventPrinter printer(view, context.arguments.json);
  std::string id;
  if (!context.arguments.dataset.empty()) {
    ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectDataset(view, context.arguments.dataset));
    id = dataset.id();
  }
  Cancellation never;
  return context.client.Follow(
      view.last_event() + 1,
      [&](const rpc::EventView& event) {
        if (id.empty() || event.dataset_id() == id) printer.Print(event);
      },
      never);
}

}  // namespace flocker
