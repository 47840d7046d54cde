#include "tests/bench/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"

namespace flocker::bench {
namespace {

// Three digits that mean something, or all of the whole ones.
std::string Short(double value) {
  if (value >= 100) return absl::StrFormat("%.0f", value);
  if (value >= 10) return absl::StrFormat("%.1f", value);
  return absl::StrFormat("%.2f", value);
}

std::string Text(const Spread& spread) {
  return absl::StrFormat("%s (%s..%s)", Short(spread.median), Short(spread.low), Short(spread.high));
}

nlohmann::ordered_json Machine() {
  utsname names{};
  uname(&names);
  return {{"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_mib", sysconf(_SC_PHYS_PAGES) / (1024 * 1024 / sysconf(_SC_PAGESIZE))},
          {"kernel", names.release},
          {"date", absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone())}};
}

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

}  // namespace

std::string PeersOf(const Section& section) {
  std::string lines = absl::StrCat("== ", section.name, ": the peers\n");
  for (const auto& [peer, what] : section.peers) absl::StrAppendFormat(&lines, "   %-12s %s\n", peer, what);
  return lines;
}

std::string RowsOf(const Workload& workload) {
  std::string rows = absl::StrFormat("%-22s", workload.name);
  for (const Series& series : workload.speed.all()) {
    absl::StrAppendFormat(&rows, "  %s %s", series.peer, Short(SpreadOf(series.rounds).median));
  }
  absl::StrAppend(&rows, "  ", workload.unit);
  for (const Series& series : workload.cpu.all()) {
    absl::StrAppendFormat(&rows, "%s %s %.2f", &series == workload.cpu.all().data() ? "  CPU s/100k:" : "", series.peer,
                          SpreadOf(series.rounds).median);
  }
  absl::StrAppend(&rows, "\n");
  for (const Ratio& ratio : workload.ratios) {
    absl::StrAppendFormat(&rows, "    %-24s %s\n", ratio.name, Text(ratio.spread));
  }
  return rows;
}

std::string JsonOf(const std::vector<Section>& sections) {
  nlohmann::ordered_json all;
  all["machine"] = Machine();
  for (const Section& section : sections) {
    nlohmann::ordered_json& told = all[section.name];
    for (const auto& [peer, what] : section.peers) told["peers"][peer] = what;
    for (const Workload& workload : section.workloads) {
      nlohmann::ordered_json& one = told[workload.name];
      for (const Ratio& ratio : workload.ratios) {
        one[ratio.name] = ratio.spread.median;
        one["spread"][ratio.name] = {ratio.spread.low, ratio.spread.high};
      }
      one["unit"] = workload.unit;
      for (const Series& series : workload.speed.all()) {
        one["median"][series.peer] = SpreadOf(series.rounds).median;
        one["rounds"][series.peer] = series.rounds;
      }
      for (const Series& series : workload.cpu.all()) {
        one["cpu_s_per_100k"][series.peer] = SpreadOf(series.rounds).median;
      }
    }
  }
  return all.dump(2) + "\n";
}

std::string PlotOf(const Section& section) {
  constexpr int kLine = 22;
  constexpr int kLabels = 380;
  constexpr int kBars = 500;
  constexpr int kWidth = kLabels + kBars + 140;
  double most = 1;
  int lines = 2;
  for (const Workload& workload : section.workloads) {
    for (const Ratio& ratio : workload.ratios) {
      most = std::max(most, ratio.spread.high);
      ++lines;
    }
  }
  const auto at = [&](double ratio) { return kLabels + kBars * ratio / most; };
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
      "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"10\" y=\"18\" font-weight=\"bold\">%s: ratios, medians with the lowest and the highest round</text>\n",
      kWidth, (lines + 1) * kLine, Escaped(section.name));
  int y = 2 * kLine;
  for (const Workload& workload : section.workloads) {
    for (const Ratio& ratio : workload.ratios) {
      const Spread& s = ratio.spread;
      absl::StrAppendFormat(&svg, "<text x=\"10\" y=\"%d\">%s</text>\n", y,
                            Escaped(absl::StrCat(workload.name, " ", ratio.name)));
      absl::StrAppendFormat(&svg, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"%s\"/>\n", kLabels,
                            y - 12, at(s.median) - kLabels, s.median >= 1 ? "#4a8" : "#8ac");
      absl::StrAppendFormat(&svg, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"black\"/>\n", at(s.low),
                            at(s.high), y - 5, y - 5);
      absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", at(s.high) + 6, y, Short(s.median));
      y += kLine;
    }
  }
  absl::StrAppendFormat(&svg, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#c33\"/>\n</svg>\n", at(1),
                        at(1), kLine, y);
  return svg;
}

}  // namespace flocker::bench
