// A small cluster to plan with.
#pragma once

#include <string>

#include "engine/model/cluster.h"
#include "engine/model/outcome.h"
#include "engine/model/planner.h"

namespace flocker::testing {

inline NodeId NodeNumber(int n) { return NodeId::FromRandomHex(std::string(31, 'a') + std::to_string(n)); }
inline DatasetId DatasetNumber(int n) { return DatasetId::FromRandomHex(std::string(31, 'd') + std::to_string(n)); }

inline Fresh SomeFresh() { return {.secret = "0123456789abcdef"}; }

// Nodes alpha (1) and beta (2), both connected.
inline Cluster TwoNodes() {
  Cluster cluster;
  cluster.PutNode({.id = NodeNumber(1), .name = "alpha"});
  cluster.PutNode({.id = NodeNumber(2), .name = "beta"});
  cluster.SetLiveness(NodeNumber(1), Liveness::kConnected);
  cluster.SetLiveness(NodeNumber(2), Liveness::kConnected);
  return cluster;
}

inline Dataset Fresh1(const std::string& name = "db") {
  Dataset dataset;
  dataset.id = DatasetNumber(1);
  dataset.SetName(name);
  dataset.size = uint64_t{1} << 30;
  dataset.desired = {.node = NodeNumber(1), .name = name};
  dataset.operation = {.id = "create-1", .kind = "create"};
  return dataset;
}

// Plans and commits until there is an action or nothing to do.
inline std::optional<Action> PlanThrough(Cluster& cluster, const DatasetId& id) {
  while (const Dataset* dataset = cluster.Find(id)) {
    const Step step = NextStep(*dataset, cluster, SomeFresh());
    if (!step.commit) return step.action;
    cluster.Put(*step.commit);
  }
  return std::nullopt;
}

// Applies an outcome under the record's epoch; false when it was ignored.
inline bool Tell(Cluster& cluster, const DatasetId& id, OutcomeKind kind, const std::string& message = "") {
  const Dataset& dataset = *cluster.Find(id);
  StepOutcome outcome{.kind = kind, .dataset = id, .epoch = dataset.placement.epoch, .message = message};
  outcome.address = {.portal = "127.0.0.1:3260", .target = "iqn.x:" + id.str(), .lun = 1};
  const auto applied = Apply(dataset, outcome, SomeFresh());
  if (!applied) return false;
  if (applied->gone) {
    cluster.Erase(id);
  } else {
    cluster.Put(applied->dataset);
  }
  return true;
}

// Brings a fresh dataset to attached on alpha.
inline void AttachOnAlpha(Cluster& cluster) {
  const DatasetId id = DatasetNumber(1);
  cluster.Put(Fresh1());
  PlanThrough(cluster, id);
  Tell(cluster, id, OutcomeKind::kCreated);
  PlanThrough(cluster, id);
  Tell(cluster, id, OutcomeKind::kGranted);
  PlanThrough(cluster, id);
  Tell(cluster, id, OutcomeKind::kFormatted);
  Tell(cluster, id, OutcomeKind::kAttached);
}

}  // namespace flocker::testing
