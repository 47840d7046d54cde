#include "engine/control/leases.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "engine/base/log.h"
#include "engine/model/codec.h"

namespace flocker {
namespace {

template <class Visit>
void ForEachSaved(const Snapshot& snapshot, const std::string& prefix, Visit visit) {
  for (auto it = snapshot.meta.lower_bound(prefix); it != snapshot.meta.end(); ++it) {
    if (!absl::StartsWith(it->first, prefix)) return;
    const auto id = DatasetId::Parse(it->first.substr(prefix.size()));
    const absl::Status status = id ? visit(*id, it->second) : absl::DataLossError("its key has no dataset's id");
    if (!status.ok()) spdlog::error("the state's {} is passed over: {}", it->first, std::string(status.message()));
  }
}

}  // namespace

std::vector<Lease> SavedLeases(const Snapshot& snapshot) {
  std::vector<Lease> leases;
  ForEachSaved(snapshot, kLeaseMeta, [&](const DatasetId&, const std::string& text) {
    auto lease = LeaseFromJson(text);
    if (lease.ok()) leases.push_back(*std::move(lease));
    return lease.status();
  });
  return leases;
}

std::vector<Wish> SavedWishes(const Snapshot& snapshot) {
  std::vector<Wish> wishes;
  ForEachSaved(snapshot, kWishMeta, [&](const DatasetId&, const std::string& text) {
    auto wish = WishFromJson(text);
    if (wish.ok()) wishes.push_back(*std::move(wish));
    return wish.status();
  });
  return wishes;
}

std::map<DatasetId, uint64_t> SavedSizes(const Snapshot& snapshot) {
  std::map<DatasetId, uint64_t> sizes;
  ForEachSaved(snapshot, kAskedSizeMeta, [&](const DatasetId& id, const std::string& text) {
    uint64_t size = 0;
    if (!absl::SimpleAtoi(text, &size)) return absl::DataLossError("it is not a number");
    sizes[id] = size;
    return absl::OkStatus();
  });
  return sizes;
}

}  // namespace flocker
