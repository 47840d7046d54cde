// The cluster as this node's tree shows it: what control says, plus what is mounted here, published in the catalogue.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/mutex.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/reader.h"
#include "engine/catalog/writer.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

class NodeView {
 public:
  // `changed` is called after every publication with the catalogue's version.
  NodeView(std::unique_ptr<CatalogWriter> catalog, std::function<void(uint64_t version)> changed)
      : catalog_(std::move(catalog)), changed_(std::move(changed)) {}

  // What the catalogue said before this agent began, so that the tree stays while control is away. Then mounts are made
  // known (SetMounted), then ForgetUnmounted takes back what an earlier agent had mounted and this one does not find.
  void Remember(const CatalogReader& before);
  void ForgetUnmounted();

  // Published when they return.
  void Apply(const rpc::ViewDelta& delta);
  void SetMounted(const DatasetId& id, uint32_t serial, uint64_t mount_epoch);

  // The version of control's view that this one has; 0: nothing yet.
  uint64_t version() const;
  // The dataset's present name; empty when control did not tell.
  std::string NameOf(const DatasetId& id) const;
  // The datasets that are in some node's directory, as the catalogue has them; one of them by its name.
  std::vector<CatalogDataset> Datasets() const;
  std::optional<CatalogDataset> Find(const std::string& name) const;
  // Its name; empty when control did not tell.
  std::string NodeName(const NodeId& id) const;
  // What control says of it and the catalogue does not have; its holders are not looked for.
  rpc::Description Describe(const DatasetId& id) const;

 private:
  struct Mounted {
    uint32_t serial = 0;
    uint64_t mount_epoch = 0;
  };
  void Merge(CatalogDataset& dataset) const REQUIRES(mutex_);
  CatalogDataset Merged(CatalogDataset dataset) const REQUIRES(mutex_);
  void Publish(const CatalogChange& change) REQUIRES(mutex_);

  mutable Mutex mutex_;
  const std::unique_ptr<CatalogWriter> catalog_;  // used under mutex_
  const std::function<void(uint64_t)> changed_;
  uint64_t version_ GUARDED_BY(mutex_) = 0;
  std::map<DatasetId, CatalogDataset> datasets_ GUARDED_BY(mutex_);
  std::map<NodeId, std::string> node_names_ GUARDED_BY(mutex_);
  std::map<DatasetId, rpc::Description> descriptions_ GUARDED_BY(mutex_);
  std::map<DatasetId, Mounted> mounted_ GUARDED_BY(mutex_);
};

}  // namespace flocker
