// The cluster of the control plane's bench: bench_control begins with it, and SimulatedAgents say that they hold it.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/model/ids.h"

namespace flocker::bench {

inline NodeId NodeNumber(int n) { return NodeId::FromRandomHex(absl::StrFormat("%032x", n)); }
inline std::string NodeName(int n) { return absl::StrCat("node", n); }
// Like random ones, for what is sent of them to be no smaller.
inline DatasetId DatasetNumber(int n) {
  std::mt19937_64 random(static_cast<uint64_t>(n));
  const uint64_t first = random();
  return DatasetId::FromRandomHex(absl::StrFormat("%016x%016x", first, random()));
}
inline std::string DatasetName(int n) { return absl::StrCat("dataset", n); }

}  // namespace flocker::bench
