// What the bench measured, and what it makes of it: of every workload each peer's figure round by round, and ratios
// between peers. The machine's mood is in every figure and, because peers take turns, in no ratio.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace flocker::bench {

struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
// `values` must not be empty.
Spread SpreadOf(std::vector<double> values);

struct Series {
  std::string peer;
  std::vector<double> rounds;
};

struct Ratio {
  std::string name;
  Spread spread;  // of the rounds' ratios, not of the figures'
};

// Figures of one kind by peer, in the order in which the peers came first.
class Figures {
 public:
  // The peer's figure in its next round.
  void Add(std::string_view peer, double value);
  // nullptr when it was not measured.
  const Series* Of(std::string_view peer) const;
  const std::vector<Series>& all() const { return series_; }

 private:
  std::vector<Series> series_;
};

struct Workload {
  std::string name;
  std::string unit;
  Figures speed;  // in `unit`
  Figures cpu;    // of the peers that are a process: its CPU seconds per 100,000 I/Os
  std::vector<Ratio> ratios;

  // Adds the ratio `name` of two peers' figures; nothing when one of them was not measured here.
  void Compare(std::string_view name, const Figures& figures, std::string_view ours, std::string_view theirs);
};

struct Section {
  std::string name;
  std::vector<std::pair<std::string, std::string>> peers;  // what each is, and how it was started
  std::vector<Workload> workloads;
};

// Calls `measure` with the index of every peer in each of `rounds` rounds, each beginning with another one. Stops at
// the first error.
absl::Status Alternate(int rounds, size_t peers, const std::function<absl::Status(size_t)>& measure);

}  // namespace flocker::bench
