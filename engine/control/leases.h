// When leases end. The time of day decides only across a restart: within a run a lease's time is counted, so that a
// wrong clock frees nothing that somebody relies on.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "engine/model/lease.h"
#include "engine/store/store.h"

namespace flocker {

// Keys of the store's meta, each followed by a dataset's id.
inline constexpr char kLeaseMeta[] = "lease/";
inline constexpr char kWishMeta[] = "wish/";
inline constexpr char kAskedSizeMeta[] =
    "v1-size/";  // maximum_size as a v1 client gave it, in decimal; 0: it gave none

// What is saved under one of those keys, by id. A record that cannot be read is left out, and said in the log.
std::vector<Lease> SavedLeases(const Snapshot& snapshot);
std::vector<Wish> SavedWishes(const Snapshot& snapshot);
std::map<DatasetId, uint64_t> SavedSizes(const Snapshot& snapshot);

// Times `now` are monotonic, counted from any fixed moment.
class Leases {
 public:
  // A lease without an end has none here. `left` may be negative: it is over at once.
  void Set(const DatasetId& dataset, std::optional<absl::Duration> left, absl::Duration now);
  void Erase(const DatasetId& dataset) { Set(dataset, std::nullopt, {}); }
  // When it ends; nothing: when it is released, or there is no lease.
  std::optional<absl::Duration> EndOf(const DatasetId& dataset) const;
  // Whose time is over, each named once.
  std::vector<DatasetId> TakeExpired(absl::Duration now);
  // When TakeExpired will have something.
  absl::Duration Next() const;

 private:
  std::map<DatasetId, absl::Duration> ends_;
  std::set<std::pair<absl::Duration, DatasetId>> by_end_;
};

}  // namespace flocker
