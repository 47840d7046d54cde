#include "engine/catalog/heap.h"

#include <algorithm>

namespace flocker::catalog {
namespace {

// Replaced blocks are kept for readers up to this much, or half of what is live when that is more: some hundred small
// changes at least, and no more than half again of the file for large ones.
constexpr size_t kKeptGranules = (512 << 10) / kGranule;

}  // namespace

uint64_t Heap::Begin(uint64_t version) {
  // The ring of roots has no place for more.
  oldest_ = std::max(oldest_, version < kHistory ? 0 : version - kHistory + 1);
  const size_t budget = std::max(kKeptGranules, live_granules_ / 2);
  while (!retired_.empty() && (retired_.front().version <= oldest_ || retired_granules_ > budget)) {
    const Batch& batch = retired_.front();
    oldest_ = std::max(oldest_, batch.version);
    retired_granules_ -= batch.granules;
    for (const Block& block : batch.blocks) free_[block.granules].push_back(block.at);
    retired_.pop_front();
  }
  batch_ = Batch();
  batch_.version = version;
  end_before_ = end_;
  return oldest_;
}

void Heap::Commit() {
  for (size_t i = 0; i < kMaxGranules; ++i) {
    for (const uint32_t at : spare_[i]) fresh_.erase(at);
    free_[i].insert(free_[i].end(), spare_[i].begin(), spare_[i].end());
    spare_[i].clear();
  }
  for (const auto& [at, granules] : fresh_) live_granules_ += granules;
  fresh_.clear();
  live_granules_ -= batch_.granules;
  retired_granules_ += batch_.granules;
  if (!batch_.blocks.empty()) retired_.push_back(std::move(batch_));
}

void Heap::Rollback(Arena arena) {
  arena_ = arena;
  for (const auto& [at, granules] : fresh_) {
    if (at < end_before_) free_[granules].push_back(at);
  }
  fresh_.clear();
  for (auto& list : spare_) list.clear();
  end_ = end_before_;
}

uint32_t Heap::Allocate(size_t granules) {
  for (FreeLists* lists : {&spare_, &free_}) {
    auto& list = (*lists)[granules];
    if (list.empty()) continue;
    const uint32_t at = list.back();
    list.pop_back();
    fresh_[at] = static_cast<uint32_t>(granules);
    return at;
  }
  if (room() < granules) {
    arena_.MarkDamaged();
    return 0;
  }
  const auto at = static_cast<uint32_t>(end_);
  end_ += granules;
  fresh_[at] = static_cast<uint32_t>(granules);
  return at;
}

void Heap::Retire(uint32_t at, size_t granules) {
  if (IsFresh(at)) {
    spare_[granules].push_back(at);
    return;
  }
  batch_.granules += granules;
  batch_.blocks.push_back({at, static_cast<uint32_t>(granules)});
}

}  // namespace flocker::catalog
