// Nodes that take datasets, that are drained, and that go. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/model/cluster.h"

namespace flocker {

// Its name; its id when nobody knows it.
std::string NodeLabel(const Cluster& cluster, const NodeId& id);

// Whether a dataset that is not on the node may come there: kNodeDown when it is not connected, kForbidden when it is
// drained. What is there already stays and is attached again, also after a reboot.
absl::Status CheckTakes(const Cluster& cluster, const NodeId& node);

// Whether the node may be forgotten: kBusy, with their names, while datasets are or are to be there, and while it is
// connected, because it would join again at once. What is in the trash does not hold it.
absl::Status CheckRemovable(const Cluster& cluster, const NodeId& node);

}  // namespace flocker
