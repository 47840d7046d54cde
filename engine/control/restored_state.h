// A state out of a backup is older than the world may be: a dataset may have moved, been made or been destroyed since.
// Acting on it could let two nodes write. So until everybody was heard, control does nothing with it:
//
//   restored --the array shows something newer--> control refuses to start
//      |
//      +--every node of the state said what it holds, and nothing is newer--> confirmed, for good
//      |
//      `--a node holds something newer--> held: agents and operations are refused, until that node lets go of it
//
// or `flocker-control --adopt` (adoption.h) settles it by fencing everything.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/array/array.h"
#include "engine/model/cluster.h"
#include "engine/rpc/flocker.pb.h"
#include "engine/store/store.h"

namespace flocker {

// What the array shows that the state does not know of, one line each: LUNs, records and grants from after it.
std::vector<std::string> NewerOnArray(const Snapshot& state, const std::vector<ArrayEntry>& entries);

class RestoredState {
 public:
  // Held if `snapshot` carries kRestoredMeta.
  explicit RestoredState(const Snapshot& snapshot);

  bool held() const { return held_; }
  // What a node says it holds. True when with this the state is confirmed.
  bool Hear(const Cluster& cluster, const NodeId& node, const rpc::AgentHello& hello);
  // Why nothing is done, and what to do about it.
  std::string Reason(const Cluster& cluster) const;

 private:
  bool held_;
  std::string origin_;
  std::set<NodeId> unheard_;
  std::map<NodeId, std::string> newer_;  // what a node holds that the state does not know of
};

}  // namespace flocker
