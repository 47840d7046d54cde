// Rebuilds the cluster's state from what lies on the array, when the store is lost or was restored from an old backup:
// the records beside the LUNs say what there is, and everything that anybody may hold is fenced, so that nothing has to
// be believed about who holds what. Epochs jump far beyond any that the state, the records or the array know.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/array/array.h"
#include "engine/store/store.h"

namespace flocker {

// More grants than one dataset gets between a backup and its use.
inline constexpr uint64_t kEpochJump = uint64_t{1} << 20;

struct Adoption {
  std::vector<Dataset> datasets;
  std::vector<std::string> notes;  // what is not as one would wish, for people
};

// Pure. Where state and record differ, the record wins in a restored state (kRestoredMeta), for it is younger; else the
// state. A LUN that takes space counts as formatted: a record may be older than its filesystem. DataLoss, naming it,
// for a record that cannot be read.
absl::StatusOr<Adoption> PlanAdoption(const Snapshot& state, const std::vector<ArrayEntry>& entries, int64_t now_ms);

// Plans it, cuts every grant off the array, commits. Blocks on the array; nothing is committed before everything is
// cut, so it may be repeated. Returns what to tell the administrator. DeadlineExceeded while a session stays, as Fence.
absl::StatusOr<std::vector<std::string>> Adopt(Store& store, Array& array, int64_t now_ms);

}  // namespace flocker
