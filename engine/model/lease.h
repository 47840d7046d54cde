// A lease: somebody's word that a dataset stays on a node. And a wish: what a client was promised to be tried for a
// while.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/model/dataset.h"

namespace flocker {

// While a lease names the node that a dataset is on, nobody moves or destroys it. A lease for another node, or for
// something that does not exist, is kept and means nothing, as in Flocker v1 (flocker-v1.md §4.5): whoever is about to
// move a dataset may take it first.
struct Lease {
  DatasetId dataset;
  NodeId node;
  std::optional<int64_t> expires_ms;  // wall clock, Unix milliseconds; nothing: when it is released
  bool operator==(const Lease&) const = default;
};

// A move or a destruction that was accepted although it could not be done at once.
struct Wish {
  DatasetId dataset;
  std::optional<NodeId> node;  // where to; nothing: to the trash
  int64_t since_ms = 0;        // wall clock, Unix milliseconds
  bool operator==(const Wish&) const = default;
};

enum class WishState {
  kOver,      // it is so, or can never be: the dataset is gone
  kUnderWay,  // an operation changes the dataset, this one or another
  kOpen,      // to be tried
};
WishState StateOf(const Wish& wish, const Dataset* dataset);

}  // namespace flocker
