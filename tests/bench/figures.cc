#include "tests/bench/figures.h"

#include <algorithm>

#include "engine/base/status.h"

namespace flocker::bench {

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .low = values.front(), .high = values.back()};
}

void Figures::Add(std::string_view peer, double value) {
  auto series = std::find_if(series_.begin(), series_.end(), [&](const Series& s) { return s.peer == peer; });
  if (series == series_.end()) series = series_.insert(series_.end(), {.peer = std::string(peer)});
  series->rounds.push_back(value);
}

const Series* Figures::Of(std::string_view peer) const {
  const auto series = std::find_if(series_.begin(), series_.end(), [&](const Series& s) { return s.peer == peer; });
  return series == series_.end() ? nullptr : &*series;
}

void Workload::Compare(std::string_view ratio, const Figures& figures, std::string_view ours, std::string_view theirs) {
  const Series* above = figures.Of(ours);
  const Series* below = figures.Of(theirs);
  if (above == nullptr || below == nullptr) return;
  std::vector<double> values;
  for (size_t round = 0; round < std::min(above->rounds.size(), below->rounds.size()); ++round) {
    values.push_back(above->rounds[round] / below->rounds[round]);
  }
  ratios.push_back({.name = std::string(ratio), .spread = SpreadOf(std::move(values))});
}

absl::Status Alternate(int rounds, size_t peers, const std::function<absl::Status(size_t)>& measure) {
  for (size_t round = 0; round < static_cast<size_t>(rounds); ++round) {
    for (size_t turn = 0; turn < peers; ++turn) RETURN_IF_ERROR(measure((round + turn) % peers));
  }
  return absl::OkStatus();
}

}  // namespace flocker::bench
