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

void Leases::Set(const DatasetId& dataset, std::optional<absl::Duration> left, absl::Duration now) {
  if (const auto it = ends_.find(dataset); it != ends_.end()) {
    by_end_.erase({it->second, dataset});
    ends_.erase(it);
  }
  if (!left) return;
  ends_[dataset] = now + *left;
  by_end_.emplace(now + *left, dataset);
}

std::optional<absl::Duration> Leases::EndOf(const DatasetId& dataset) const {
  const auto it = ends_.find(dataset);
  if (it == ends_.end()) return std::nullopt;
  return it->second;
}

std::vector<DatasetId> Leases::TakeExpired(absl::Duration now) {
  std::vector<DatasetId> expired;
  while (!by_end_.empty() && by_end_.begin()->first <= now) {
    expired.push_back(by_end_.begin()->second);
    ends_.erase(expired.back());
    by_end_.erase(by_end_.begin());
  }
  return expired;
}

absl::Duration Leases::Next() const { return by_end_.empty() ? absl::InfiniteDuration() : by_end_.begin()->first; }

}  // namespace flocker
