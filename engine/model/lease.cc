#include "engine/model/lease.h"

namespace flocker {

WishState StateOf(const Wish& wish, const Dataset* dataset) {
  if (dataset == nullptr) return WishState::kOver;
  if (!dataset->operation.id.empty() && !dataset->operation.done) return WishState::kUnderWay;
  if (dataset->desired.deleted || (wish.node && dataset->desired.node == wish.node)) return WishState::kOver;
  return WishState::kOpen;
}

}  // namespace flocker
