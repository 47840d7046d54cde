#include "engine/volume/holder_mounts.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/volume/holder_tasks.h"
#include "engine/volume/proc_tasks.h"

namespace flocker {
namespace {

// Which copies of our own mount elsewhere go away together with it.
class Propagation {
 public:
  Propagation(const std::vector<SeenMount>& mounts, const MountEntry* official) : official_(official) {
    for (const SeenMount& mount : mounts) by_id_.emplace(mount.entry.id, &mount.entry);
    const MountEntry* parent = official == nullptr ? nullptr : Parent(*official);
    if (parent == nullptr || parent->shared_group == 0) return;
    place_ = Place(*official);
    groups_.insert(parent->shared_group);
    // A slave that is shared itself passes on to its own peers and slaves.
    for (size_t before = 0; before != groups_.size();) {
      before = groups_.size();
      for (const SeenMount& mount : mounts) {
        if (mount.entry.shared_group != 0 && groups_.contains(mount.entry.master_group)) {
          groups_.insert(mount.entry.shared_group);
        }
      }
    }
  }

  bool GoesWithOfficial(const MountEntry& copy) const {
    const MountEntry* parent = Parent(copy);
    if (groups_.empty() || parent == nullptr) return false;
    const bool receives = groups_.contains(parent->shared_group) || groups_.contains(parent->master_group);
    return receives && copy.root == official_->root && Place(copy) == place_;
  }

 private:
  const MountEntry* Parent(const MountEntry& mount) const {
    const auto found = by_id_.find(mount.parent);
    return found == by_id_.end() ? nullptr : found->second;
  }

  // The mountpoint as a path within the filesystem that the parent mount shows: the same in every namespace.
  std::string Place(const MountEntry& mount) const {
    const MountEntry* parent = Parent(mount);
    const auto as_prefix = [](const std::string& path) { return path == "/" ? std::string() : path; };
    const std::string above = as_prefix(parent->mount_point);
    if (!absl::StartsWith(mount.mount_point, above)) return "";  // two views with different root directories
    return absl::StrCat(as_prefix(parent->root), mount.mount_point.substr(above.size()));
  }

  const MountEntry* official_;
  std::map<int, const MountEntry*> by_id_;
  std::string place_;
  std::set<int> groups_;  // peer groups that our umount reaches
};

// A bind of a directory that is gone from the tree pins nothing of the dataset that has its name now.
bool IsDeleted(const MountEntry& mount) { return absl::EndsWith(mount.root, "//deleted"); }

bool BindsTree(const HolderQuery& query, const MountEntry& mount) {
  return query.fuse_device != 0 && mount.device == query.fuse_device && !IsDeleted(mount) &&
         std::any_of(query.fuse_roots.begin(), query.fuse_roots.end(),
                     [&](const std::string& root) { return IsAtOrBelow(mount.root, root); });
}

bool IsOnOrBelow(const MountEntry& mount, const std::string& path) {
  return !path.empty() && IsAtOrBelow(mount.mount_point, path);
}

}  // namespace

absl::StatusOr<std::vector<SeenMount>> ReadAllMounts() {
  std::vector<SeenMount> mounts;
  std::set<int> ids;
  ASSIGN_OR_RETURN(std::vector<MountEntry> own, ReadOwnMounts());
  for (MountEntry& entry : own) {
    ids.insert(entry.id);
    mounts.push_back({std::move(entry), true, {}});
  }
  // A task's mountinfo shows what lies below its own root directory, so a namespace is read once per root in it.
  using View = std::tuple<uint64_t, uint64_t, uint64_t>;
  std::set<View> views;
  uint64_t own_namespace = 0;
  const auto view_of = [&](const ProcTask& task) -> std::optional<View> {
    const auto ns = task.Identity("ns/mnt");
    const auto root = task.Identity("root");
    if (!ns || !root) return std::nullopt;
    return View(ns->inode, root->mount_id, root->inode);
  };
  ProcTask self;
  self.directory.reset(open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (const auto view = view_of(self)) {
    own_namespace = std::get<0>(*view);
    views.insert(*view);
  }
  absl::Status status;
  const absl::Status walked = ForEachTask([&](const ProcTask& task) {
    if (!task.own_fs || !status.ok()) return;  // who shares a root directory shares the namespace
    const auto view = view_of(task);
    if (!view || !views.insert(*view).second) return;
    auto entries = ParseMountInfo(task.Read("mountinfo"));
    if (!entries.ok()) {
      status = Annotate(entries.status(), absl::StrCat("mounts of process ", task.pid));
      return;
    }
    const bool here = std::get<0>(*view) == own_namespace;
    const Holder viewer = here ? Holder{} : Identify(task);
    for (MountEntry& entry : *entries) {
      if (ids.insert(entry.id).second) mounts.push_back({std::move(entry), here, viewer});
    }
  });
  RETURN_IF_ERROR(walked);
  RETURN_IF_ERROR(status);
  return mounts;
}

std::vector<Holder> MountHolders(const HolderQuery& query, const std::vector<SeenMount>& mounts) {
  const auto is_ours = [&](const MountEntry& mount) { return query.device != 0 && mount.device == query.device; };
  const MountEntry* official = nullptr;
  for (const SeenMount& mount : mounts) {
    if (mount.here && is_ours(mount.entry) && mount.entry.mount_point == query.mount_path) {
      official = &mount.entry;
      break;
    }
  }
  const Propagation propagation(mounts, official);

  std::vector<Holder> holders;
  for (const SeenMount& mount : mounts) {
    const MountEntry& entry = mount.entry;
    bool holds = is_ours(entry) || BindsTree(query, entry);
    if (mount.here) {
      holds = holds || IsOnOrBelow(entry, query.mount_path) || IsOnOrBelow(entry, query.tree_path);
      if (&entry == official) holds = false;
    } else if (is_ours(entry) && propagation.GoesWithOfficial(entry)) {
      holds = false;
    }
    if (!holds) continue;
    Holder holder = mount.viewer;
    holder.what = "mount";
    holder.path = entry.mount_point;
    holders.push_back(std::move(holder));
  }
  return holders;
}

}  // namespace flocker
