// Persistent treaps over the arena's records: a change makes new cells from the root down to where it happened and
// leaves the old ones as they were, so a version, once published, does not change.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "engine/catalog/arena.h"
#include "engine/catalog/heap.h"
#include "engine/catalog/record.h"

namespace flocker::catalog {

// Calls `visit` with the items whose keys begin with `prefix`, in order, until it answers false. At most `limit` items:
// a walk that would visit more, or go deeper than any real tree, marks the arena damaged.
void Walk(const Arena& arena, Order order, uint32_t root, std::string_view prefix, size_t limit,
          absl::FunctionRef<bool(uint32_t item)> visit);

// The first such item, else 0.
uint32_t First(const Arena& arena, Order order, uint32_t root, std::string_view prefix);

// The new root. No item of the same key may be there (Insert), or one must be (Erase).
uint32_t Insert(Heap& heap, Order order, uint32_t root, uint32_t item);
uint32_t Erase(Heap& heap, Order order, uint32_t root, uint32_t item);

}  // namespace flocker::catalog
