// The cluster of the control plane's bench: bench_control begins with it, and SimulatedAgents say that they hold it.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/model/ids.h"

namespace flocker::bench {

inline NodeId NodeNumber(int n) { return NodeId::FromRandomHex(absl::StrFormat("%032x", n)); }
inline std::string NodeName(int n) { return absl::StrCat("node", n); }
inline DatasetId DatasetNumber(int n) { return DatasetId::FromRandomHex(absl::StrFormat("%032x", n)); }
inline std::string DatasetName(int n) { return absl::StrCat("dataset", n); }

}  // namespace flocker::bench
