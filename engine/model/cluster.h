// The cluster as control knows it: every dataset, every node, every lease, and who is heard from. A value with two
// indices; no I/O, no clock, no threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "engine/model/dataset.h"
#include "engine/model/lease.h"

namespace flocker {

enum class Liveness {
  kDown,       // silent for longer than heartbeat_timeout: its datasets may be fenced
  kSilent,     // not connected, but not for long enough to call it down
  kConnected,  // its stream is open and it was heard from
};

class Cluster {
 public:
  // Inserts or replaces a dataset, keeping the indices.
  void Put(Dataset dataset);
  void Erase(const DatasetId& id);
  void PutNode(Node node);
  // Of a node that nothing refers to any more (CheckRemovable).
  void EraseNode(const NodeId& id);
  void SetLiveness(const NodeId& id, Liveness liveness);
  // A drained node takes no datasets that it does not have.
  void SetDrained(const NodeId& id, bool drained);
  void set_valve_closed(bool closed) { valve_closed_ = closed; }
  void SetCutOff(const DatasetId& id, bool cut_off);
  // Bytes it takes of the pool, as was seen last. False when that is what was known.
  bool SetUsed(const DatasetId& id, uint64_t bytes);

  void PutLease(const Lease& lease) { leases_[lease.dataset] = lease; }
  void EraseLease(const DatasetId& dataset) { leases_.erase(dataset); }

  const Dataset* Find(const DatasetId& id) const;
  // Whoever has the name now, or will have it when its pending operation is through. Trash holds no names.
  const Dataset* FindName(std::string_view name) const;
  // One whose record remembers the operation; of two that changed places by it, always the same.
  const Dataset* FindByOperation(const std::string& operation_id) const;
  const Node* FindNode(const NodeId& id) const;
  const Node* FindNodeName(std::string_view name) const;

  Liveness LivenessOf(const NodeId& id) const;  // kDown for a node nobody knows
  size_t CountNodes(Liveness liveness) const { return counts_[static_cast<size_t>(liveness)]; }
  bool Drained(const NodeId& id) const { return drained_.contains(id); }
  // Many nodes vanished together: fences need `force` (DESIGN §4).
  bool valve_closed() const { return valve_closed_; }

  // Its node hears control, and has been unable for longer than heartbeat_timeout to use the grant that would renew its
  // session: it may be fenced like one that is down.
  bool CutOff(const DatasetId& id) const { return cut_off_.contains(id); }

  const Lease* LeaseOf(const DatasetId& dataset) const;
  const std::map<DatasetId, Lease>& leases() const { return leases_; }

  const std::map<DatasetId, Dataset>& datasets() const { return datasets_; }
  const std::map<NodeId, Node>& nodes() const { return nodes_; }
  // The datasets whose placement or wish concerns the node.
  const std::set<DatasetId>& DatasetsOf(const NodeId& node) const;
  uint64_t UsedOf(const DatasetId& id) const;  // 0: nothing, or not known
  // What destroyed datasets take of the pool.
  uint64_t trash_used() const { return trash_used_; }
  // Bytes promised to all datasets, trash included.
  uint64_t promised() const { return promised_; }

 private:
  void Index(const Dataset& dataset);
  void Unindex(const Dataset& dataset);

  std::map<DatasetId, Dataset> datasets_;
  std::map<NodeId, Node> nodes_;
  std::map<NodeId, Liveness> liveness_;
  std::array<size_t, 3> counts_ = {};  // of nodes_, by their liveness
  std::map<DatasetId, Lease> leases_;
  std::set<NodeId> drained_;
  std::map<std::string, DatasetId, std::less<>> names_;
  std::map<NodeId, std::set<DatasetId>> of_node_;
  std::set<std::pair<std::string, DatasetId>> operations_;  // those that records remember, by id
  std::set<DatasetId> cut_off_;
  std::map<DatasetId, uint64_t> used_;
  uint64_t trash_used_ = 0;
  uint64_t promised_ = 0;
  bool valve_closed_ = false;
};

}  // namespace flocker
