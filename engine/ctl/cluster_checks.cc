#include "engine/ctl/cluster_checks.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

// Certificates and v1's leases are dated; more than this is no matter of rounding.
constexpr absl::Duration kMostSkew = absl::Seconds(1);
constexpr double kLowPool = 0.1;
constexpr size_t kNamed = 5;

Check CheckClock(int64_t control_ms, const Asked& asked) {
  const absl::Time control = absl::FromUnixMillis(control_ms);
  // It answered at some time in between.
  absl::Duration skew = absl::ZeroDuration();
  if (control < asked.from) skew = asked.from - control;
  if (control > asked.to) skew = control - asked.to;
  const std::string found = absl::StrFormat("%.3fs from control's, at least", absl::ToDoubleSeconds(skew));
  if (skew <= kMostSkew) return {"clock", Verdict::kGood, "agrees with control's", ""};
  return {"clock", Verdict::kWarning, found, "set the time of both machines by NTP, as with chrony"};
}

std::string SomeOf(const std::vector<std::string>& names) {
  if (names.size() <= kNamed) return absl::StrJoin(names, ", ");
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + kNamed, ", "), " and ", names.size() - kNamed,
                      " more");
}

Check CheckNodes(const rpc::ViewReply& view) {
  std::vector<std::string> away;
  for (const rpc::NodeView& node : view.nodes()) {
    if (!node.connected()) away.push_back(node.name());
  }
  if (view.nodes().empty()) {
    return {"nodes", Verdict::kWarning, "none has joined", "start flocker-agent on each machine that is to be one"};
  }
  if (away.empty()) return {"nodes", Verdict::kGood, absl::StrCat("all ", view.nodes_size(), " are connected"), ""};
  return {"nodes", Verdict::kWarning, absl::StrCat(SomeOf(away), " not connected"),
          "look at flocker-agent there; a node that is gone for good: flockerctl nodes remove"};
}

Check CheckDatasets(const rpc::ViewReply& view) {
  std::vector<std::string> failing;
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (!dataset.error().empty()) failing.push_back(absl::StrCat(dataset.name(), " (", dataset.error(), ")"));
  }
  if (failing.empty()) return {"datasets", Verdict::kGood, "no step fails", ""};
  return {"datasets", Verdict::kWarning, SomeOf(failing), "flockerctl why and flockerctl events tell more"};
}

Check CheckPool(const rpc::PoolView& pool) {
  const std::string found = absl::StrCat(FormatSize(pool.free()), " of ", FormatSize(pool.size()), " free, ",
                                         FormatSize(pool.trash()), " held by the trash");
  if (pool.size() == 0) return {"pool", Verdict::kWarning, "the array did not tell its space", "look at the array"};
  if (static_cast<double>(pool.free()) > kLowPool * static_cast<double>(pool.size())) {
    return {"pool", Verdict::kGood, found, ""};
  }
  return {"pool", Verdict::kWarning, found, "flockerctl trash and flockerctl purge, or a larger pool"};
}

}  // namespace

std::vector<Check> CheckCluster(const absl::StatusOr<rpc::ViewReply>& view, const std::string& address,
                                const Asked& asked) {
  if (!view.ok()) {
    return {
        {"control", Verdict::kBad, std::string(view.status().message()),
         absl::StrCat("look whether flocker-control runs, and whether a firewall lets this machine reach ", address)}};
  }
  std::vector<Check> checks;
  if (view->version() == FLOCKER_VERSION) {
    checks.push_back(
        {"control", Verdict::kGood, absl::StrCat("version ", view->version(), " answers at ", address), ""});
  } else {
    checks.push_back({"control", Verdict::kWarning,
                      absl::StrCat("it has version ", view->version(), ", and this flockerctl " FLOCKER_VERSION),
                      "upgrade the older one"});
  }
  checks.push_back(CheckClock(view->time_ms(), asked));
  checks.push_back(CheckNodes(*view));
  checks.push_back(CheckDatasets(*view));
  checks.push_back(CheckPool(view->pool()));
  if (view->strays() > 0) {
    checks.push_back({"strays", Verdict::kWarning,
                      absl::StrCat(view->strays(), " were found and cut off since control started"),
                      "flockerctl events names them (stray); whatever made them should not"});
  }
  return checks;
}

}  // namespace flocker
