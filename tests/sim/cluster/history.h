// One history: a cluster, its users and its faults, all out of one seed, and the verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "plant.h"

namespace flocker::sim {

struct Verdict {
  std::optional<std::string> violation;  // the first; then the history ended there
  uint64_t steps = 0;                    // events run
  uint64_t fingerprint = 0;              // equal for equal histories
  uint64_t operations = 0;               // whose client saw OK
  uint64_t writes = 0;                   // acknowledged
};

// `trace` prints every notable event.
Verdict RunHistory(uint64_t seed, Plant plant = Plant::kNone, bool trace = false);

// How somebody sees the history again.
std::string ReplayCommand(uint64_t seed);

}  // namespace flocker::sim
