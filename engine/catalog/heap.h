// Which granules of the arena are in use: the writer's memory alone, lost with it and not needed by its successor,
// which writes a new generation.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/catalog/arena.h"

namespace flocker::catalog {

// A block is, in this order: free; fresh (taken since Begin, in no published version); live; retired (replaced by
// version v, so still read by those who are with v - 1); and free again once v - 1 is no longer kept.
//
//   free --Allocate--> fresh --Commit--> live --Retire, Commit--> retired --Begin--> free
//                      fresh --Retire or Rollback--> free
class Heap {
 public:
  explicit Heap(Arena arena) : arena_(arena) {}

  Arena& arena() { return arena_; }

  // Starts the change that makes `version`. Answers the oldest version that stays intact, which readers must be told
  // before anything is written.
  uint64_t Begin(uint64_t version);
  void Commit();
  // Forgets the change, back in the arena in which it began.
  void Rollback(Arena arena);
  // Goes on with the change in a larger copy of the arena.
  void MoveTo(Arena larger) { arena_ = larger; }

  // 0, and a damaged arena, when there is no room: see that room() is ample before a change.
  uint32_t Allocate(size_t granules);
  void Retire(uint32_t at, size_t granules);
  bool IsFresh(uint32_t at) const { return fresh_.contains(at); }

  size_t used() const { return end_; }                      // granules, from 0, that hold or held anything
  size_t room() const { return arena_.granules() - end_; }  // granules never used

  uint32_t Random() { return static_cast<uint32_t>(random_()); }

 private:
  struct Block {
    uint32_t at;
    uint32_t granules;
  };
  struct Batch {  // what one version replaced
    uint64_t version = 0;
    size_t granules = 0;
    std::vector<Block> blocks;
  };
  static constexpr size_t kMaxGranules = 32;  // of a block; the largest record takes 29
  using FreeLists = std::array<std::vector<uint32_t>, kMaxGranules>;

  Arena arena_;
  std::minstd_rand random_{std::random_device()()};
  uint64_t oldest_ = 0;
  size_t end_ = 1;  // granule 0 is the null reference
  FreeLists free_;  // by size
  std::deque<Batch> retired_;
  size_t live_granules_ = 0;
  size_t retired_granules_ = 0;

  // The change since Begin.
  size_t end_before_ = 1;
  absl::flat_hash_map<uint32_t, uint32_t> fresh_;  // and the size of each, also of those in spare_
  FreeLists spare_;                                // fresh ones that were retired again
  Batch batch_;
};

}  // namespace flocker::catalog
