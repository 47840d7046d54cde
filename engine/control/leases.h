// What the store keeps of promises: leases, wishes, the sizes that v1 clients asked for.
#pragma once

#include <map>
#include <string>
#include <vector>

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

}  // namespace flocker
