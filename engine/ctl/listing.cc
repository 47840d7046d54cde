#include "engine/ctl/listing.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/ctl/table.h"
#include "engine/model/dataset.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

constexpr size_t kShortId = 8;

std::string ShownId(const std::string& id, bool whole) { return whole ? id : id.substr(0, kShortId); }

std::string Metadata(const rpc::DatasetView& dataset) {
  const std::map<std::string, std::string> sorted(dataset.metadata().begin(), dataset.metadata().end());
  return absl::StrJoin(sorted, ",", absl::PairFormatter("="));
}

std::string Server(const rpc::ViewReply& view, const rpc::DatasetView& dataset, bool whole) {
  const std::string& id = dataset.desired_node_id().empty() ? dataset.node_id() : dataset.desired_node_id();
  for (const rpc::NodeView& node : view.nodes()) {
    if (node.id() == id) return absl::StrCat(ShownId(id, whole), " (", node.address(), ")");
  }
  return "<missing>";
}

template <class Views>
std::vector<typename Views::value_type> ByName(const Views& views) {
  std::vector<typename Views::value_type> sorted(views.begin(), views.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name() < b.name(); });
  return sorted;
}

}  // namespace

std::string StatusText(const rpc::DatasetView& dataset, bool symbols) {
  const auto phase = PhaseFromName(dataset.phase());
  if (phase == Phase::kTrashed || phase == Phase::kPurging) return "deleted";
  if (dataset.deleted()) return "deleting";
  if (phase == Phase::kAttached) return symbols ? "attached ✅" : "attached";
  if (phase == Phase::kProvisioning) return symbols ? "pending ⌛" : "pending";
  return dataset.phase();
}

std::string FormatNodes(const rpc::ViewReply& view, const ListingOptions& options) {
  std::vector<TableRow> rows = {{"SERVER", "ADDRESS", "NAME", "STATE"}};
  for (const rpc::NodeView& node : ByName(view.nodes())) {
    rows.push_back(
        {ShownId(node.id(), options.long_ids), node.address(), node.name(), node.connected() ? "connected" : "down"});
  }
  return FormatTable(rows);
}

std::string FormatDatasets(const rpc::ViewReply& view, const ListingOptions& options) {
  std::vector<TableRow> rows = {{"DATASET", "SIZE", "METADATA", "STATUS", "SERVER"}};
  if (!options.live) rows[0].push_back("USED");  // what purging it would free
  for (const rpc::DatasetView& dataset : ByName(view.datasets())) {
    const std::string status = StatusText(dataset, options.symbols);
    if (status == "deleted" ? !options.deleted : !options.live) continue;
    rows.push_back(
        {dataset.id(), FormatSize(dataset.size()), Metadata(dataset), status, Server(view, dataset, options.long_ids)});
    if (!options.live) rows.back().push_back(FormatSize(dataset.used()));
  }
  return FormatTable(rows);
}

}  // namespace flocker
