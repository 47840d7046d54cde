// What the catalogue says about the cluster: the values that the agent publishes and flocker-fs reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/dataset.h"
#include "engine/model/ids.h"

namespace flocker {

// Bytes of an error text that are kept; the rest is cut off.
constexpr size_t kMaxCatalogError = 240;

struct CatalogNode {
  using Id = NodeId;

  NodeId id;
  std::string name;
  bool connected = false;  // control has its stream
  bool operator==(const CatalogNode&) const = default;
};

struct CatalogDataset {
  using Id = DatasetId;

  DatasetId id;
  std::string name;
  NodeId node;        // whose directory shows it; empty for one in the trash
  uint64_t size = 0;  // bytes
  uint64_t used = 0;  // bytes it takes of the pool, when control last looked; 0: none, or not known
  Phase phase = Phase::kProvisioning;
  uint64_t epoch = 0;
  uint64_t mount_epoch = 0;
  // Nonzero exactly while this machine's agent has it mounted, and another number at every mount: inode numbers of its
  // files in the tree are serial << 32 | ino.
  uint32_t serial = 0;
  uint32_t root_uid = 0;  // of the root directory, for a stat before it is mounted
  uint32_t root_gid = 0;
  uint32_t root_mode = 0755;
  int64_t created_ms = 0;  // wall clock, Unix milliseconds
  std::string error;       // the last failure of its present step; at most kMaxCatalogError bytes
  bool operator==(const CatalogDataset&) const = default;
};

// The array's pool, in bytes, when control last looked.
struct CatalogPool {
  uint64_t size = 0;  // 0: not known
  uint64_t free = 0;
  uint64_t trash = 0;  // of what is not free: held by destroyed datasets
  bool operator==(const CatalogPool&) const = default;
};

// What one Publish changes: readers see all of it or nothing of it.
struct CatalogChange {
  // The lists below are everything there is: what they do not name is gone. For the full exchange after a connect.
  bool complete = false;
  std::vector<CatalogNode> nodes;  // new or changed
  std::vector<NodeId> gone_nodes;
  std::vector<CatalogDataset> datasets;  // new or changed
  std::vector<DatasetId> gone_datasets;
  std::optional<CatalogPool> pool;  // when it changed
};

}  // namespace flocker
