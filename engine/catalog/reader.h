// flocker-fs's side of the catalogue.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/catalog/catalog.h"

namespace flocker {

// Every answer is of one published version, and none waits for the writer, alive or dead. Threads may share a reader.
class CatalogReader {
 public:
  // NotFound when no agent has published there yet; FailedPrecondition for another layout or an earlier boot; DataLoss
  // for what is no catalogue.
  static absl::StatusOr<std::unique_ptr<CatalogReader>> Open(const std::string& path);
  virtual ~CatalogReader() = default;

  // Grows with every change. Two atomic loads, unless the writer has just switched generations.
  virtual uint64_t version() const = 0;

  // The node whose agent publishes this catalogue.
  virtual CatalogNode Self() const = 0;

  virtual std::vector<CatalogNode> Nodes() const = 0;  // by name
  virtual std::optional<CatalogNode> FindNode(std::string_view name) const = 0;

  virtual std::optional<CatalogDataset> Find(const NodeId& node, std::string_view name) const = 0;
  virtual std::optional<CatalogDataset> FindById(const DatasetId& id) const = 0;
  virtual std::optional<CatalogDataset> FindBySerial(uint32_t serial) const = 0;  // nonzero
  virtual std::vector<CatalogDataset> List(const NodeId& node) const = 0;         // by name; the empty id: the trash

  struct Totals {
    uint32_t nodes = 0;
    uint32_t datasets = 0;
  };
  virtual Totals totals() const = 0;

  // OK, or why answers are old (a newer generation was refused) or empty (the file was damaged under us).
  virtual absl::Status Health() const = 0;
};

}  // namespace flocker
