#include "engine/ctl/listing.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/ctl/table.h"
#include "engine/model/dataset.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

constexpr size_t kShortId = 8;
constexpr char kDeleted[] = "deleted";

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

// Red is what somebody must look at, yellow what is on its way.
Paint StatusPaint(const rpc::DatasetView& dataset) {
  if (!dataset.error().empty()) return Paint::kRed;
  return PhaseFromName(dataset.phase()) == Phase::kAttached ? Paint::kGreen : Paint::kYellow;
}

}  // namespace

std::string StatusText(const rpc::DatasetView& dataset, bool symbols) {
  const auto phase = PhaseFromName(dataset.phase());
  if (phase == Phase::kTrashed || phase == Phase::kPurging) return kDeleted;
  if (dataset.deleted()) return "deleting";
  if (phase == Phase::kAttached) return symbols ? "attached ✅" : "attached";
  if (phase == Phase::kProvisioning) return symbols ? "pending ⌛" : "pending";
  return dataset.phase();
}

std::vector<rpc::DatasetView> Listed(const rpc::ViewReply& view, const ListingOptions& options) {
  std::vector<rpc::DatasetView> listed;
  for (rpc::DatasetView& dataset : ByName(view.datasets())) {
    const bool deleted = StatusText(dataset, false) == kDeleted;
    if (deleted ? options.deleted : options.live) listed.push_back(std::move(dataset));
  }
  return listed;
}

std::string FormatNodes(const rpc::ViewReply& view, const ListingOptions& options) {
  std::vector<TableRow> rows = {{"SERVER", "ADDRESS", "NAME", "STATE"}};
  for (const rpc::NodeView& node : ByName(view.nodes())) {
    std::string state = node.connected() ? "connected" : "down";
    if (node.drained()) state += ", drained";
    if (options.colour) {
      state = Painted(state, !node.connected() ? Paint::kRed : node.drained() ? Paint::kYellow : Paint::kGreen);
    }
    rows.push_back({ShownId(node.id(), options.long_ids), node.address(), node.name(), state});
  }
  return FormatTable(rows);
}

std::string FormatDatasets(const rpc::ViewReply& view, const ListingOptions& options) {
  std::vector<TableRow> rows = {{"DATASET", "SIZE", "METADATA", "STATUS", "SERVER"}};
  if (!options.live) rows[0].push_back("USED");  // what purging it would free
  for (const rpc::DatasetView& dataset : Listed(view, options)) {
    std::string status = StatusText(dataset, options.symbols);
    if (options.colour) status = Painted(status, StatusPaint(dataset));
    rows.push_back(
        {dataset.id(), FormatSize(dataset.size()), Metadata(dataset), status, Server(view, dataset, options.long_ids)});
    if (!options.live) rows.back().push_back(FormatSize(dataset.used()));
  }
  return FormatTable(rows);
}

}  // namespace flocker
