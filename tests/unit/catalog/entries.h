// Nodes and datasets for the catalogue's tests.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/catalog/catalog.h"

namespace flocker::testing {

// What large tests are divided by: ThreadSanitizer watches each of this room's many small atomic accesses.
#ifdef __SANITIZE_THREAD__
inline constexpr uint32_t kSlowdown = 20;
#else
inline constexpr uint32_t kSlowdown = 1;
#endif

inline CatalogNode MakeNode(uint32_t i, bool connected = true) {
  return {*NodeId::Parse(absl::StrFormat("%08x-0000-4000-8000-0000000000aa", i)), absl::StrCat("node", i), connected};
}

// The same number gives neighbouring ids: clients may choose theirs, and a tree must not suffer from it.
inline DatasetId MakeId(uint32_t i) {
  return *DatasetId::Parse(absl::StrFormat("00000000-0000-4000-8000-0000%08x", i));
}

// Every field follows from `i` and `stamp`, so that a reader can tell a torn one.
inline CatalogDataset MakeDataset(uint32_t i, uint32_t node, uint64_t stamp) {
  CatalogDataset dataset;
  dataset.id = MakeId(i);
  dataset.name = absl::StrCat("data", i, stamp % 2 == 0 ? "" : "-renamed");
  dataset.node = MakeNode(node).id;
  dataset.size = stamp * 3 + i;
  dataset.used = stamp * 13;
  dataset.phase = static_cast<Phase>(stamp % 11);
  dataset.epoch = stamp;
  dataset.mount_epoch = stamp * 5;
  dataset.serial = static_cast<uint32_t>(stamp % 3 == 0 ? 0 : i + 1);
  dataset.root_uid = static_cast<uint32_t>(stamp * 7);
  dataset.root_gid = static_cast<uint32_t>(stamp * 11);
  dataset.root_mode = static_cast<uint32_t>(stamp % 0777);
  dataset.created_ms = -static_cast<int64_t>(stamp);
  dataset.error = std::string(stamp % 5 == 0 ? stamp % kMaxCatalogError : 0, 'e');
  return dataset;
}

// One change to datasets 0..count-1.
inline CatalogChange MakeChange(uint32_t count, uint32_t node, uint64_t stamp) {
  CatalogChange change;
  for (uint32_t i = 0; i < count; ++i) change.datasets.push_back(MakeDataset(i, node, stamp));
  return change;
}

}  // namespace flocker::testing
