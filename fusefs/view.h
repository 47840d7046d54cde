// What this daemon knows of the cluster: the catalogue, and where this machine has its mounts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/reader.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

inline constexpr char kTrashName[] = ".trash";

// What .trash calls a dataset: <name>@<the id's first 8 characters>, since several that had one name may lie there.
std::string TrashName(const CatalogDataset& dataset);

// The agent's Welcome says where the catalogue is; it is kept, and answers go on, while the agent is away. Before the
// first one the cluster is empty. No answer waits for anybody. Threads may share it.
class View {
 public:
  explicit View(std::string own_name) : own_name_(std::move(own_name)) {}

  void Adopt(const rpc::TreeWelcome& welcome);
  // Opens the catalogue if the last attempt failed: call it when the agent says there are news.
  void Refresh();
  // Does the catalogue say what control told? The first version of a new file has the agent's own node alone (catalog's
  // CatalogWriter::Open).
  bool Told() const { return version() > 1; }

  const std::string& own_name() const { return own_name_; }  // this machine's directory
  std::vector<CatalogNode> Nodes() const;
  std::optional<CatalogNode> FindNode(std::string_view name) const;
  std::optional<CatalogNode> FindNode(const NodeId& id) const;
  std::vector<CatalogDataset> List(const NodeId& node) const;
  std::optional<CatalogDataset> Find(const NodeId& node, std::string_view name) const;
  std::optional<CatalogDataset> Find(const DatasetId& id) const;
  std::vector<CatalogDataset> Here() const;  // this machine's
  std::vector<CatalogDataset> Trash() const { return List(NodeId()); }
  // By what the trash calls it (TrashName).
  std::optional<CatalogDataset> FindTrashed(std::string_view entry) const;

  uint64_t version() const;  // 0: nothing yet
  CatalogReader::Totals Totals() const;
  CatalogPool Pool() const;

  bool IsHere(const CatalogDataset& dataset) const;
  std::string NodeName(const NodeId& id) const;  // "an unknown node" when it is none
  // The native mount; meaningful while the dataset has a serial.
  std::string MountPath(const CatalogDataset& dataset) const;

 private:
  struct Known {
    NodeId self;
    std::string catalog_path;
    std::string mount_root;
    std::shared_ptr<const CatalogReader> catalog;  // null until it could be opened
  };
  Known known() const;

  const std::string own_name_;
  mutable Mutex mutex_;
  Known known_ GUARDED_BY(mutex_);
};

}  // namespace flocker
