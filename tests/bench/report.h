// The figures for people and for programs.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "tests/bench/figures.h"

namespace flocker::bench {

// What the peers are, a line each.
std::string PeersOf(const Section& section);

// The medians, and the ratios' medians with their lowest and highest round.
std::string RowsOf(const Workload& workload);

// {"<section>": {"peers": {…}, "<workload>": {"<ratio>": median, "spread": {"<ratio>": [low, high]}, "unit": …,
// "median": {"<peer>": …}, "rounds": {"<peer>": […]}, "cpu_s_per_100k": {"<peer>": …}}}, "machine": {…}}.
std::string JsonOf(const std::vector<Section>& sections);

// A bar for each ratio with its spread, as SVG.
std::string PlotOf(const Section& section);

}  // namespace flocker::bench
