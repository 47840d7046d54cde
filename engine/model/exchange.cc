#include "engine/model/exchange.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"

namespace flocker {

void ChangePlaces(Dataset& one, Dataset& two) {
  const std::string name = one.name;
  one.SetName(two.name);
  two.SetName(name);
  std::swap(one.desired.node, two.desired.node);
  for (Dataset* dataset : {&one, &two}) {
    dataset->desired.name = dataset->name;
    dataset->desired.leave = dataset->desired.force = false;
    dataset->operation.done = true;
  }
}

namespace {

// What became of the operation with that dataset, which may have begun the next one since.
Operation OutcomeWith(const Dataset* other, const Operation& operation) {
  if (other != nullptr && other->operation.id == operation.id) return other->operation;
  Operation lost = {.id = operation.id, .done = true, .cause = std::string(CauseName(Cause::kIo))};
  lost.message = "the other dataset knows nothing of it";
  if (other == nullptr) return lost;
  const auto found = std::find_if(other->earlier.begin(), other->earlier.end(),
                                  [&](const Operation& each) { return each.id == operation.id; });
  return found == other->earlier.end() ? lost : *found;
}

bool HasLeft(const Dataset& dataset) { return dataset.desired.leave && Unheld(dataset.placement.phase); }

// Nothing is taken off a node for the sake of one that is dead.
bool HomeIsDown(const Cluster& cluster, const Dataset& dataset) {
  return !dataset.desired.node || cluster.LivenessOf(*dataset.desired.node) == Liveness::kDown;
}

std::vector<Dataset> GiveUp(Dataset dataset, const std::string& cause, const std::string& message) {
  dataset.operation.done = true;
  dataset.operation.cause = cause;
  dataset.operation.message = message;
  dataset.desired.leave = dataset.desired.force = false;
  return {std::move(dataset)};
}

}  // namespace

std::vector<Dataset> AdvanceExchange(const Cluster& cluster, const Dataset& dataset) {
  if (dataset.operation.with.empty() || dataset.operation.done) return {};
  const Dataset* other = cluster.Find(dataset.operation.with);
  if (const Operation theirs = OutcomeWith(other, dataset.operation); theirs.done) {  // it stays, so this one does too
    return GiveUp(dataset, theirs.cause, theirs.message);
  }
  if (HomeIsDown(cluster, dataset) || HomeIsDown(cluster, *other)) {
    return GiveUp(dataset, std::string(CauseName(Cause::kNodeDown)), "a node of the two went down; both stay");
  }
  if (HasLeft(dataset) && HasLeft(*other)) {
    std::vector<Dataset> both = {dataset, *other};
    ChangePlaces(both[0], both[1]);
    return both;
  }
  if (!HasLeft(*other) || dataset.desired.leave) return {};
  Dataset leaving = dataset;
  leaving.desired.leave = true;
  return {leaving};
}

}  // namespace flocker
