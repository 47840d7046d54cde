// flocker-fs's side of the catalogue.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/layout.h"
#include "engine/catalog/record.h"
#include "engine/catalog/segment.h"

namespace flocker {

// Every answer is of one published version, and none waits for the writer, alive or dead. Threads may share a reader.
class CatalogReader {
 public:
  // NotFound when no agent has published there yet; FailedPrecondition for another layout or an earlier boot; DataLoss
  // for what is no catalogue.
  static absl::StatusOr<std::unique_ptr<CatalogReader>> Open(const std::string& path);
  CatalogReader(const CatalogReader&) = delete;
  CatalogReader& operator=(const CatalogReader&) = delete;

  // Grows with every change. Two atomic loads, unless the writer has just switched generations.
  uint64_t version() const;

  // The node whose agent publishes this catalogue.
  CatalogNode Self() const;

  std::vector<CatalogNode> Nodes() const;  // by name
  std::optional<CatalogNode> FindNode(std::string_view name) const;

  std::optional<CatalogDataset> Find(const NodeId& node, std::string_view name) const;
  std::optional<CatalogDataset> FindById(const DatasetId& id) const;
  std::optional<CatalogDataset> FindBySerial(uint32_t serial) const;  // nonzero
  // By name; the empty id: the trash, where several may have one name.
  std::vector<CatalogDataset> List(const NodeId& node) const {
    return Under(catalog::Key().Add(catalog::ToBytes(node)));
  }
  std::vector<CatalogDataset> ListTrashed(std::string_view name) const;

  struct Totals {
    uint32_t nodes = 0;
    uint32_t datasets = 0;
  };
  Totals totals() const;
  CatalogPool pool() const;

  // OK, or why answers are old (a newer generation was refused) or empty (the file was damaged under us).
  absl::Status Health() const;

 private:
  struct View {
    catalog::Arena arena;
    catalog::Root root;
  };

  CatalogReader(std::string path, std::shared_ptr<const catalog::Segment> segment);

  // The present generation, after looking for a newer one when this one says so.
  std::shared_ptr<const catalog::Segment> Segment() const EXCLUDES(mutex_);
  // Runs `read` on the present version, again when it did not stay intact meanwhile. False when the file is damaged.
  bool Read(absl::FunctionRef<void(const View&)> read) const;
  std::vector<CatalogDataset> Under(const catalog::Key& place) const;
  std::optional<CatalogDataset> FindDataset(catalog::Order order, const catalog::Key& prefix) const;
  std::optional<CatalogNode> FindNode(catalog::Order order, const catalog::Key& prefix) const;

  const std::string path_;
  mutable Mutex mutex_;  // of this process's threads alone
  mutable std::shared_ptr<const catalog::Segment> segment_ GUARDED_BY(mutex_);
  mutable absl::Status health_ GUARDED_BY(mutex_);
};

}  // namespace flocker
