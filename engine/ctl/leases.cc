#include "engine/ctl/leases.h"

#include <map>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/ctl/selection.h"
#include "engine/ctl/table.h"
#include "engine/model/ids.h"

namespace flocker {

std::string FormatLeases(const rpc::ViewReply& view) {
  std::map<std::string, std::string> names;
  for (const rpc::NodeView& node : view.nodes()) names[node.id()] = node.name();
  for (const rpc::DatasetView& dataset : view.datasets()) names[dataset.id()] = dataset.name();
  const auto name = [&](const std::string& id) {
    const auto it = names.find(id);
    return it != names.end() ? it->second : std::string("<missing>");
  };
  std::vector<TableRow> rows = {{"DATASET", "NAME", "NODE", "EXPIRES"}};
  for (const rpc::LeaseView& lease : view.leases()) {
    rows.push_back({lease.dataset_id(), name(lease.dataset_id()), name(lease.node_id()),
                    lease.has_seconds() ? absl::StrFormat("%.0fs", lease.seconds()) : "never"});
  }
  return FormatTable(rows);
}

absl::StatusOr<std::string> SelectLeased(const rpc::ViewReply& view, std::string_view text) {
  if (const auto id = DatasetId::Parse(text)) return id->str();
  const auto dataset = SelectDataset(view, text);
  if (!dataset.ok()) return dataset.status();
  return dataset->id();
}

}  // namespace flocker
