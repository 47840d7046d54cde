// What must hold whatever happens, checked as it happens. Everything simulated tells it what it does; it knows more
// than any of them and tells nobody.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "durable.h"
#include "engine/model/dataset.h"
#include "engine/rpc/flocker.pb.h"
#include "engine/store/store.h"

namespace flocker::sim {

// The writer's numbers, by the block each lies in: number n overwrites block n % kBlocks, so that a stale write shows.
constexpr size_t kBlocks = 4;
using Blocks = std::array<uint64_t, kBlocks>;

class Truth {
 public:
  // Whether a node's machine has anything of this attachment: a filesystem, or a LUN server.
  using Holds = std::function<bool(const NodeId&, const DatasetId&, uint64_t mount_epoch)>;

  explicit Truth(const Durable& durable) : durable_(durable) {}
  void set_holds(Holds holds) { holds_ = std::move(holds); }

  const std::optional<std::string>& violation() const { return violation_; }
  void Violated(const std::string& what) {
    if (!violation_) violation_ = what;
  }

  // ---- the array tells ----
  void Granted(const DatasetId& id, const Grant& grant);
  void LoggedIn(const DatasetId& id, uint64_t epoch);
  // Everybody who may log in, or whose commands may still reach the blocks.
  void MayWrite(const DatasetId& id, const std::set<std::string>& initiators);
  void Writes(const DatasetId& id, uint64_t epoch, uint64_t number, const Blocks& blocks);
  void Formats(const DatasetId& id, uint64_t epoch);
  void Reads(const DatasetId& id, const Blocks& blocks);

  // ---- the nodes tell ----
  // These numbers were promised to be on disk: by fsync, or by an orderly unmount.
  void Acknowledged(const DatasetId& id, const std::vector<uint64_t>& numbers);

  // ---- control tells ----
  // Just before the batch is applied to the disk.
  void Commits(const Batch& batch);
  // A client sees an answer; `request` is what it asked.
  void Answered(const rpc::OperationRequest& request, const rpc::OperationReply& reply);

  // Operations whose client saw OK.
  uint64_t acknowledged_operations() const { return acknowledged_operations_; }
  uint64_t acknowledged_writes() const { return acknowledged_writes_; }

 private:
  struct Done {
    DatasetId dataset;
    bool succeeded = false;
    bool refused = false;  // its client was told so
  };
  void CommitsDataset(const Dataset& dataset);
  void CommitsExchanges(const Batch& batch);
  void KeepsLeases(const Batch& batch);
  void CommitsOperation(const Dataset* before, const Dataset& dataset);
  void Ends(const Operation& operation);
  void CheckOk(const rpc::OperationRequest& request, const rpc::OperationReply& reply);
  bool Overtaken(const std::string& operation_id, const DatasetId& id) const;

  const Durable& durable_;
  Holds holds_;
  std::optional<std::string> violation_;
  std::map<DatasetId, Blocks> acknowledged_;
  std::map<DatasetId, uint64_t> newest_login_;
  std::map<std::pair<DatasetId, uint64_t>, Grant> grants_;
  std::map<std::string, Done> operations_;  // by id
  uint64_t acknowledged_operations_ = 0;
  uint64_t acknowledged_writes_ = 0;
};

}  // namespace flocker::sim
