#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/catalog/inode_numbers.h"
#include "engine/model/dataset.h"
#include "fusefs/tree.h"

namespace flocker {
namespace {

constexpr uint64_t kTreeInode = 1;

// Seconds. The kernel rounds up to its ticks, so this is a few milliseconds.
constexpr double kThisCall = 0.001;
constexpr double kNodeTimeout = 1;

uint64_t TrashedInode(const CatalogDataset& dataset) { return TreeInode(absl::StrCat("trash ", dataset.id.str())); }

// Asked once: a name service may be slow, and the threads that receive requests must not wait for it.
std::optional<gid_t> FlockerGroup() {
  std::array<char, 16384> room{};
  group entry{};
  group* found = nullptr;
  if (getgrnam_r("flocker", &entry, room.data(), room.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return found->gr_gid;
}

struct stat Directory(uint64_t inode, mode_t mode, gid_t group) {
  struct stat attributes {};
  attributes.st_ino = inode;
  attributes.st_mode = S_IFDIR | mode;
  attributes.st_nlink = 2;
  attributes.st_gid = group;
  attributes.st_blksize = 4096;
  return attributes;
}

struct stat Symlink(uint64_t inode, size_t length) {
  struct stat attributes {};
  attributes.st_ino = inode;
  attributes.st_mode = S_IFLNK | 0777;
  attributes.st_nlink = 1;
  attributes.st_size = static_cast<off_t>(length);
  return attributes;
}

std::string UuidTarget(const View& view, const CatalogDataset& dataset) {
  if (dataset.serial != 0 && view.IsHere(dataset)) return view.MountPath(dataset);
  return absl::StrCat(view.NodeName(dataset.node), "/", dataset.name);
}

}  // namespace

Tree::Tree(const View& view, InodeTable& inodes, Datasets& datasets, InfoFiles& info, Operations& operations,
           Refusals& refusals, std::function<bool()> control_reached, uint64_t first_listing, bool create_on_bind)
    : view_(view),
      inodes_(inodes),
      datasets_(datasets),
      info_(info),
      operations_(operations),
      refusals_(refusals),
      control_reached_(std::move(control_reached)),
      create_on_bind_(create_on_bind),
      group_(FlockerGroup()),
      listings_(first_listing + 1) {}

std::optional<struct stat> Tree::Shown(const Inode& node) {
  switch (node.kind) {
    case InodeKind::kTree:
      return Directory(kTreeInode, 0755, 0);
    case InodeKind::kNodeDirectory:
      if (!view_.FindNode(node.node)) return std::nullopt;
      return Directory(NodeInode(node.node), 0775, group_.value_or(0));
    case InodeKind::kSelf:
      return Symlink(TreeInode("self"), view_.own_name().size());
    case InodeKind::kUuidLink: {
      const auto dataset = view_.Find(node.dataset);
      if (!dataset || dataset->node.empty()) return std::nullopt;
      return Symlink(TreeInode(absl::StrCat("link ", node.dataset.str())), UuidTarget(view_, *dataset).size());
    }
    case InodeKind::kTrash:
      return Directory(TreeInode(kTrashName), 0775, group_.value_or(0));
    case InodeKind::kTrashed: {
      const auto dataset = view_.Find(node.dataset);
      if (!dataset || !dataset->node.empty()) return std::nullopt;
      return Directory(TrashedInode(*dataset), 0555, 0);
    }
    case InodeKind::kInfo:
    case InodeKind::kInfoFile:
      return info_.Attributes(node);
    case InodeKind::kDataset: {
      const auto dataset = view_.Find(node.dataset);
      if (!dataset || dataset->node.empty()) return std::nullopt;
      return datasets_.RootAttributes(*dataset);
    }
    case InodeKind::kFile:
      break;
  }
  return std::nullopt;
}

void Tree::ReplyEntry(Request request, const std::shared_ptr<const Inode>& node, const struct stat& attributes) {
  // Nothing is to be believed for longer than this call: another machine may change any of it, and every look must find
  // the present. Yet the stat that asks this shall not ask for the attributes again, unless they are ext4's, which the
  // native path may change between the two.
  fuse_entry_param entry{};
  entry.ino = node->id;
  entry.attr = attributes;
  if (IsTreeInode(attributes.st_ino)) entry.attr_timeout = kThisCall;
  // But for the way through a node's directory, which keeps its name as long as there is that node.
  if (node->kind == InodeKind::kNodeDirectory) entry.entry_timeout = kNodeTimeout;
  if (!request.Entry(entry)) inodes_.Forget(node->id, 1);
}

void Tree::Lookup(Request request, const Inode& parent, const std::string& name) {
  std::shared_ptr<const Inode> found;
  if (parent.kind == InodeKind::kNodeDirectory) {
    const auto dataset = view_.Find(parent.node, name);
    if (dataset) found = inodes_.Dataset(dataset->id, {parent.node, name});
  } else if (parent.kind == InodeKind::kTrash) {
    if (const auto dataset = view_.FindTrashed(name)) found = inodes_.Trashed(dataset->id);
  } else if (parent.kind == InodeKind::kTrashed) {
    // Nothing is in there: who wants to see the data restores it.
  } else if (parent.kind == InodeKind::kInfo) {
    found = info_.Find(name);
  } else if (name == kInfoName) {
    found = inodes_.Info();
  } else if (name == kTrashName) {
    found = inodes_.Trash();
  } else if (name == "self") {
    found = inodes_.Self();
  } else if (const auto node = view_.FindNode(name)) {
    found = inodes_.NodeDirectory(node->id);
  } else if (const auto id = DatasetId::Parse(name); id && view_.Find(*id)) {
    found = inodes_.UuidLink(*id);
  }
  if (found == nullptr) return request.Error(ENOENT);
  const auto attributes = Shown(*found);
  if (!attributes) {
    inodes_.Forget(found->id, 1);
    return request.Error(ENOENT);
  }
  ReplyEntry(std::move(request), found, *attributes);
}

void Tree::Attributes(Request request, const Inode& node) {
  const auto attributes = Shown(node);
  attributes ? request.Attributes(*attributes) : request.Error(ESTALE);
}

void Tree::ReadLink(Request request, const Inode& node) {
  if (node.kind == InodeKind::kSelf) return request.Link(view_.own_name());
  if (node.kind != InodeKind::kUuidLink) return request.Error(EINVAL);
  const auto dataset = view_.Find(node.dataset);
  dataset ? request.Link(UuidTarget(view_, *dataset)) : request.Error(ESTALE);
}

void Tree::Access(Request request, const Inode& node, int mask) {
  const bool info = node.kind == InodeKind::kInfo || node.kind == InodeKind::kInfoFile;
  if (info && (mask & W_OK) != 0) return request.Error(EPERM);
  const bool denied =
      (mask & W_OK) != 0 && node.kind != InodeKind::kSelf && node.kind != InodeKind::kUuidLink && !MayChange(request);
  request.Error(denied ? EACCES : 0);
}

std::vector<Tree::Listed> Tree::List(const Inode& directory) {
  std::vector<Listed> listing;
  const auto add = [&](std::string name, const struct stat& shown) { listing.push_back({std::move(name), shown}); };
  add(".", Shown(directory).value_or(Directory(kTreeInode, 0, 0)));
  add("..", Directory(kTreeInode, 0, 0));
  if (directory.kind == InodeKind::kTree) {
    add("self", Symlink(TreeInode("self"), 0));
    add(kTrashName, Directory(TreeInode(kTrashName), 0, 0));
    add(kInfoName, Directory(TreeInode(kInfoName), 0, 0));
    for (const CatalogNode& node : view_.Nodes()) add(node.name, Directory(NodeInode(node.id), 0, 0));
  } else if (directory.kind == InodeKind::kTrash) {
    for (const CatalogDataset& dataset : view_.Trash()) add(TrashName(dataset), Directory(TrashedInode(dataset), 0, 0));
  } else if (directory.kind == InodeKind::kInfo) {
    for (InfoFiles::Listed& file : info_.List()) add(std::move(file.name), file.shown);
  } else if (directory.kind == InodeKind::kNodeDirectory) {
    for (const CatalogDataset& dataset : view_.List(directory.node)) {
      const bool mounted = dataset.serial != 0 && view_.IsHere(dataset);
      add(dataset.name, Directory(mounted ? FileInode(dataset.serial, kExt4RootInode) : RootInode(dataset.id), 0, 0));
    }
  }
  return listing;
}

void Tree::OpenDirectory(Request request, const Inode& node) {
  listings_.Open(std::move(request), std::make_shared<const std::vector<Listed>>(List(node)));
}

void Tree::ReadDirectory(Request request, const Inode& node, uint64_t listing, size_t size, off_t offset) {
  if (offset < 0) return request.Error(EINVAL);
  std::shared_ptr<const std::vector<Listed>> shown;
  if (!listings_.With(listing, [&](const auto& opened) { shown = opened; })) {
    // Opened before a takeover: it goes on with what is there now.
    shown = std::make_shared<const std::vector<Listed>>(List(node));
    listings_.Set(listing, shown);
  }
  std::vector<char> entries(size);
  size_t used = 0;
  for (size_t at = static_cast<size_t>(offset); at < shown->size(); ++at) {
    const Listed& one = (*shown)[at];
    const size_t needed = fuse_add_direntry(request.raw(), entries.data() + used, size - used, one.name.c_str(),
                                            &one.shown, static_cast<off_t>(at + 1));
    if (needed > size - used) break;
    used += needed;
  }
  request.Bytes({entries.data(), used});
}

void Tree::ReleaseDirectory(Request request, uint64_t listing) { listings_.Release(std::move(request), listing); }

void Tree::Statfs(Request request, const Inode& node) {
  uint64_t size = 0;
  uint64_t free = 0;
  if (const auto dataset = node.dataset.empty() ? std::nullopt : view_.Find(node.dataset)) {
    size = dataset->size;
    free = size - std::min(size, dataset->used);
  } else {
    // The tree has no space of its own: all of its datasets live in one pool, wherever they are.
    const CatalogPool pool = view_.Pool();
    free = pool.free;
    // What .trash uses is what purging all of it would free.
    size = node.kind == InodeKind::kTrash ? pool.trash + pool.free : pool.size;
  }
  struct statvfs space {};
  space.f_bsize = space.f_frsize = 4096;
  space.f_namemax = 255;
  space.f_blocks = size / space.f_frsize;
  space.f_bfree = space.f_bavail = free / space.f_frsize;
  request.Statfs(space);
}

}  // namespace flocker
