#include "engine/ctl/selection.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr size_t kCandidates = 4;  // that an ambiguity names

// `things` are NodeViews or DatasetViews; `eligible` says which of them count.
template <class Things, class Eligible>
auto Select(const Things& things, std::string_view text, std::string_view noun, Eligible eligible)
    -> absl::StatusOr<typename Things::value_type> {
  const std::string wanted(text);
  const std::string prefix = absl::AsciiStrToLower(wanted);  // ids are lower case
  std::vector<const typename Things::value_type*> named;
  std::vector<const typename Things::value_type*> hits;
  for (const auto& thing : things) {
    if (!eligible(thing)) continue;
    if (thing.name() == wanted) named.push_back(&thing);
    if (!prefix.empty() && absl::StartsWith(thing.id(), prefix)) hits.push_back(&thing);
  }
  if (!named.empty()) hits = named;
  const std::string what(noun);
  if (hits.empty()) {
    return Refuse(Cause::kNotFound,
                  absl::StrCat("no ", what, " has the name, or an id that begins with, '", wanted, "'"));
  }
  if (hits.size() > 1) {
    const auto shown = hits.begin() + static_cast<std::ptrdiff_t>(std::min(hits.size(), kCandidates));
    return Refuse(Cause::kInvalid,
                  absl::StrCat("'", wanted, "' is ambiguous: ",
                               absl::StrJoin(hits.begin(), shown, ", ",
                                             [](std::string* out, const typename Things::value_type* thing) {
                                               absl::StrAppend(out, thing->id(), " (", thing->name(), ")");
                                             }),
                               hits.size() > kCandidates ? ", …" : "", "; give (more of) its id"));
  }
  return *hits.front();
}

}  // namespace

absl::StatusOr<rpc::NodeView> SelectNode(const rpc::ViewReply& view, std::string_view text) {
  return Select(view.nodes(), text, "node", [](const rpc::NodeView&) { return true; });
}

absl::StatusOr<rpc::DatasetView> SelectDataset(const rpc::ViewReply& view, std::string_view text) {
  return Select(view.datasets(), text, "dataset", [](const rpc::DatasetView& dataset) { return !dataset.deleted(); });
}

absl::StatusOr<rpc::DatasetView> SelectTrashed(const rpc::ViewReply& view, std::string_view text) {
  return Select(view.datasets(), text, "destroyed dataset",
                [](const rpc::DatasetView& dataset) { return dataset.deleted(); });
}

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(std::string_view text) {
  std::map<std::string, std::string> metadata;
  const std::string whole(text);
  if (whole.empty()) return metadata;
  for (const auto part : absl::StrSplit(whole, ',')) {
    const std::vector<std::string> pair = absl::StrSplit(part, '=');
    if (pair.size() != 2 || pair[0].empty()) {
      return Refuse(Cause::kInvalid,
                    absl::StrCat("malformed metadata specification '", whole, "', please use format 'a=b,c=d'"));
    }
    if (!metadata.emplace(pair[0], pair[1]).second) {
      return Refuse(Cause::kInvalid, absl::StrCat("metadata key '", pair[0], "' is given twice"));
    }
  }
  return metadata;
}

}  // namespace flocker
