// The levels of /flocker above the datasets: node directories, `self`, `<uuid>`, .trash, .flocker and the datasets'
// directories themselves.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/catalog/catalog.h"
#include "engine/model/operations.h"
#include "fusefs/datasets.h"
#include "fusefs/handles.h"
#include "fusefs/info_files.h"
#include "fusefs/inode_table.h"
#include "fusefs/operations.h"
#include "fusefs/refusals.h"
#include "fusefs/request.h"
#include "fusefs/view.h"

namespace flocker {

// Everything is answered from memory, and no method blocks, so the threads that receive requests run them themselves.
// Changes become operations: the request waits in Operations, as data.
class Tree {
 public:
  // `control_reached`: may anything be changed at all? Numbers of open directories begin behind `first_listing`.
  // Without `create_on_bind` dockerd makes no datasets: a typo in a `docker run -v` is an error then.
  Tree(const View& view, InodeTable& inodes, Datasets& datasets, InfoFiles& info, Operations& operations,
       Refusals& refusals, std::function<bool()> control_reached, uint64_t first_listing, bool create_on_bind);

  // tree_levels.cc: what there is. Nodes are of every kind but kFile; `parent` is none of a dataset's.
  void Lookup(Request request, const Inode& parent, const std::string& name);
  void Attributes(Request request, const Inode& node);
  void ReadLink(Request request, const Inode& node);
  void Access(Request request, const Inode& node, int mask);
  void OpenDirectory(Request request, const Inode& node);
  void ReadDirectory(Request request, const Inode& node, uint64_t listing, size_t size, off_t offset);
  void ReleaseDirectory(Request request, uint64_t listing);
  // Of a dataset that is not mounted here and of anything inside: its size, and what it takes of the pool. Of every
  // other place: the pool. Both as control last saw them.
  void Statfs(Request request, const Inode& node);

  // tree_attributes.cc: flocker.* of a dataset's directory, `name` without that. No value: it is to be removed.
  void GetAttribute(Request request, const Inode& node, const std::string& name, size_t room);
  void SetAttribute(Request request, const Inode& node, const std::string& name,
                    const std::optional<std::string>& value, int flags);

  // tree_changes.cc: mkdir, rename and rmdir between the tree's levels.
  void Make(Request request, const Inode& parent, const std::string& name, mode_t mode);
  void Remove(Request request, const Inode& parent, const std::string& name);
  void Rename(Request request, const Inode& from, const std::string& name, const Inode& to, const std::string& new_name,
              unsigned flags);

 private:
  struct Listed {
    std::string name;
    struct stat shown {};  // number and type only
  };
  std::optional<struct stat> Shown(const Inode& node);
  std::vector<Listed> List(const Inode& directory);
  void ReplyEntry(Request request, const std::shared_ptr<const Inode>& node, const struct stat& attributes);

  bool MayChange(const Request& request) const;
  // What can be refused without asking control.
  absl::Status CheckMake(const Request& request, const Inode& parent, const std::string& name) const;
  absl::StatusOr<CatalogDataset> CheckRemove(const Request& request, const Inode& parent,
                                             const std::string& name) const;
  absl::StatusOr<CatalogDataset> CheckRename(const Request& request, const Inode& from, const std::string& name,
                                             const Inode& to, const std::string& new_name, unsigned flags) const;
  void Exchange(Request request, const Place& one, const Place& two);
  absl::StatusOr<std::pair<CatalogDataset, CatalogDataset>> CheckExchange(const Request& request, const Place& one,
                                                                          const Place& two) const;
  absl::StatusOr<ChangeWish> CheckAttribute(const Request& request, const std::string& name,
                                            const std::optional<std::string>& value, int flags) const;
  absl::Status CheckCaller(const Request& request) const;
  absl::Status CheckReach() const;
  absl::Status CheckConnected(const NodeId& node) const;

  const View& view_;
  InodeTable& inodes_;
  Datasets& datasets_;
  InfoFiles& info_;
  Operations& operations_;
  Refusals& refusals_;
  const std::function<bool()> control_reached_;
  const bool create_on_bind_;
  const std::optional<gid_t> group_;  // `flocker`, whose members may change the tree

  Handles<std::shared_ptr<const std::vector<Listed>>> listings_;  // what open directories showed when they were opened
};

}  // namespace flocker
