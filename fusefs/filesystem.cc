#include "fusefs/filesystem.h"

#include <linux/xattr.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "engine/base/status.h"
#include "fusefs/attributes.h"

namespace flocker {
namespace {

std::string OurName(const std::string& name) { return name.substr(std::string_view(kAttributePrefix).size()); }

// The kernel resolves these itself; from anybody else they would lead out of a dataset.
bool IsDots(const std::string& name) { return name == "." || name == ".."; }

}  // namespace

Filesystem::Filesystem(const Options& options, SavedState& state)
    : state_(state),
      in_flight_(state),
      view_(options.node_name),
      inodes_(state),
      files_(state),
      passthrough_(inodes_, files_),
      refusals_([this](const rpc::Refusal& refusal) {
        rpc::TreeUp message;
        *message.mutable_refusal() = refusal;
        Send(std::move(message));  // without an agent the log alone has it
      }),
      operations_(
          options.operations, [this](rpc::TreeUp message) { return Send(std::move(message)); }, deadlines_),
      datasets_(options.datasets, view_, refusals_, deadlines_, threads_, state),
      info_(view_, inodes_, [this] { return Reached(); }),
      tree_(
          view_, inodes_, datasets_, info_, operations_, refusals_, [this] { return ControlReached(); },
          state.first_id(), options.create_on_bind),
      heard_(state.incarnation() == 0) {}

Filesystem::~Filesystem() = default;

bool Filesystem::Shutdown(absl::Duration patience) {
  if (link_) link_->Stop();
  deadlines_.Stop();
  Heard();
  operations_.Clear();
  for (auto& file : files_.RemoveAll()) CloseOnWorker(std::move(file));
  datasets_.Clear();
  return threads_.WaitUntilNone(patience);
}

void Filesystem::Inside(Request request, const InodePtr& node, Datasets::Work work, bool listing) {
  std::optional<uint32_t> serial;
  if (node->kind == InodeKind::kFile) serial = node->serial;
  datasets_.Enter(std::move(request), {node->dataset, serial, std::move(work), listing});
}

void Filesystem::Work(Request request, LocalMount::Use use, Datasets::Work work) {
  WorkerPool& workers = use->workers();
  workers.Submit([request = std::move(request), use = std::move(use), work = std::move(work)]() mutable {
    work(std::move(request), std::move(use));
  });
}

std::optional<LocalMount::Use> Filesystem::TryEnter(const Inode& node) {
  const auto dataset = view_.Find(node.dataset);
  return dataset ? datasets_.TryEnter(*dataset) : std::nullopt;
}

void Filesystem::Lookup(Request request, uint64_t parent, const std::string& name) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr || IsDots(name)) return request.Error(ESTALE);
  if (!node->InsideDataset()) return tree_.Lookup(std::move(request), *node, name);
  Inside(std::move(request), node, [this, node, name](Request inside, LocalMount::Use in) {
    passthrough_.Lookup(std::move(inside), in, *node, name);
  });
}

void Filesystem::GetAttributes(Request request, uint64_t id, std::optional<uint64_t> handle) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  // A dataset's own directory is listed by `ls -l` one level up, which must never wait.
  if (node->kind != InodeKind::kFile) return tree_.Attributes(std::move(request), *node);
  if (handle) {
    return WithFile(std::move(request), *handle,
                    [this](Request inside, OpenFile& file) { passthrough_.OpenAttributes(std::move(inside), file); });
  }
  Inside(std::move(request), node,
         [this, node](Request inside, LocalMount::Use in) { passthrough_.Attributes(std::move(inside), in, *node); });
}

void Filesystem::SetAttributes(Request request, uint64_t id, const struct stat& to, int which,
                               std::optional<uint64_t> handle) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(EPERM);
  if (handle) {
    return WithFile(std::move(request), *handle, [this, node, to, which](Request inside, OpenFile& file) {
      passthrough_.SetAttributes(std::move(inside), file.use, *node, to, which, &file);
    });
  }
  Inside(std::move(request), node, [this, node, to, which](Request inside, LocalMount::Use in) {
    passthrough_.SetAttributes(std::move(inside), in, *node, to, which, nullptr);
  });
}

void Filesystem::ReadLink(Request request, uint64_t id) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return tree_.ReadLink(std::move(request), *node);
  Inside(std::move(request), node,
         [this, node](Request inside, LocalMount::Use in) { passthrough_.ReadLink(std::move(inside), in, *node); });
}

void Filesystem::MakeNode(Request request, uint64_t parent, const std::string& name, mode_t mode, dev_t device) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, name, mode, device](Request inside, LocalMount::Use in) {
    passthrough_.MakeNode(std::move(inside), in, *node, name, mode, device);
  });
}

void Filesystem::MakeDirectory(Request request, uint64_t parent, const std::string& name, mode_t mode) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) {
    return WhenHeard(std::move(request),
                     [this, node, name, mode](Request heard) { tree_.Make(std::move(heard), *node, name, mode); });
  }
  Inside(std::move(request), node, [this, node, name, mode](Request inside, LocalMount::Use in) {
    passthrough_.MakeDirectory(std::move(inside), in, *node, name, mode);
  });
}

void Filesystem::MakeSymlink(Request request, uint64_t parent, const std::string& name, const std::string& target) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, name, target](Request inside, LocalMount::Use in) {
    passthrough_.MakeSymlink(std::move(inside), in, *node, name, target);
  });
}

void Filesystem::Link(Request request, uint64_t id, uint64_t parent, const std::string& name) {
  const InodePtr node = inodes_.Find(id);
  const InodePtr directory = inodes_.Find(parent);
  if (node == nullptr || directory == nullptr) return request.Error(ESTALE);
  if (!directory->InsideDataset() || node->kind != InodeKind::kFile) return request.Error(EPERM);
  if (node->dataset != directory->dataset) return request.Error(EXDEV);
  if (directory->kind == InodeKind::kFile && directory->serial != node->serial) return request.Error(ESTALE);
  Inside(std::move(request), node, [this, node, directory, name](Request inside, LocalMount::Use in) {
    passthrough_.Link(std::move(inside), in, *node, *directory, name);
  });
}

void Filesystem::Unlink(Request request, uint64_t parent, const std::string& name) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, name](Request inside, LocalMount::Use in) {
    passthrough_.Remove(std::move(inside), in, *node, name, false);
  });
}

void Filesystem::RemoveDirectory(Request request, uint64_t parent, const std::string& name) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) {
    return WhenHeard(std::move(request),
                     [this, node, name](Request heard) { tree_.Remove(std::move(heard), *node, name); });
  }
  Inside(std::move(request), node, [this, node, name](Request inside, LocalMount::Use in) {
    passthrough_.Remove(std::move(inside), in, *node, name, true);
  });
}

void Filesystem::Rename(Request request, uint64_t from, const std::string& name, uint64_t to,
                        const std::string& new_name, unsigned flags) {
  const InodePtr old_parent = inodes_.Find(from);
  const InodePtr new_parent = inodes_.Find(to);
  if (old_parent == nullptr || new_parent == nullptr) return request.Error(ESTALE);
  if (!old_parent->InsideDataset() && !new_parent->InsideDataset()) {
    return WhenHeard(std::move(request), [this, old_parent, name, new_parent, new_name, flags](Request heard) {
      tree_.Rename(std::move(heard), *old_parent, name, *new_parent, new_name, flags);
    });
  }
  if (old_parent->kind == InodeKind::kTree || new_parent->kind == InodeKind::kTree) return request.Error(EPERM);
  // Files between datasets, and between a dataset's content and the level of datasets: mv copies.
  if (!old_parent->InsideDataset() || !new_parent->InsideDataset() || old_parent->dataset != new_parent->dataset) {
    return request.Error(EXDEV);
  }
  const bool both_files = old_parent->kind == InodeKind::kFile && new_parent->kind == InodeKind::kFile;
  if (both_files && old_parent->serial != new_parent->serial) return request.Error(ESTALE);
  const InodePtr& serial_of = old_parent->kind == InodeKind::kFile ? old_parent : new_parent;
  Inside(std::move(request), serial_of,
         [this, old_parent, name, new_parent, new_name, flags](Request inside, LocalMount::Use in) {
           passthrough_.Rename(std::move(inside), in, *old_parent, name, *new_parent, new_name, flags);
         });
}

void Filesystem::Access(Request request, uint64_t id, int mask) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return tree_.Access(std::move(request), *node, mask);
  Inside(std::move(request), node, [this, node, mask](Request inside, LocalMount::Use in) {
    passthrough_.Access(std::move(inside), in, *node, mask);
  });
}

void Filesystem::Statfs(Request request, uint64_t id) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  const auto dataset = node->InsideDataset() ? view_.Find(node->dataset) : std::nullopt;
  // ext4 answers from its counters in memory, so this may be done here, where nothing may wait.
  struct statvfs space {};
  if (dataset) {
    if (const auto use = datasets_.TryEnter(*dataset); use && fstatvfs((*use)->mount(), &space) == 0) {
      return request.Statfs(space);
    }
  }
  tree_.Statfs(std::move(request), *node);
}

void Filesystem::GetXattr(Request request, uint64_t id, const std::string& name, size_t room) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (absl::StartsWith(name, kAttributePrefix)) {
    const bool has = node->kind == InodeKind::kDataset || node->kind == InodeKind::kTrashed;
    return has ? tree_.GetAttribute(std::move(request), *node, OurName(name), room) : request.Error(ENODATA);
  }
  if (!node->InsideDataset()) return request.Error(ENODATA);
  auto work = [this, node, name, room](Request inside, LocalMount::Use in) {
    passthrough_.GetXattr(std::move(inside), in, *node, name, room);
  };
  if (node->kind == InodeKind::kFile) {
    // The kernel asks for this one before it writes to an open file, and that must not wait for a gate.
    if (name == XATTR_NAME_CAPS) {
      auto use = datasets_.Join(node->dataset, node->serial);
      if (!use) use = TryEnter(*node);
      if (!use || (*use)->serial() != node->serial) return request.Error(ENODATA);
      return Work(std::move(request), *std::move(use), std::move(work));
    }
    return Inside(std::move(request), node, std::move(work));
  }
  if (auto use = TryEnter(*node)) return Work(std::move(request), *std::move(use), std::move(work));
  request.Error(ENODATA);
}

void Filesystem::ListXattr(Request request, uint64_t id, size_t room) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Attribute({}, room);
  auto work = [this, node, room](Request inside, LocalMount::Use in) {
    passthrough_.ListXattr(std::move(inside), in, *node, room);
  };
  if (node->kind == InodeKind::kFile) return Inside(std::move(request), node, std::move(work));
  if (auto use = TryEnter(*node)) return Work(std::move(request), *std::move(use), std::move(work));
  request.Attribute({}, room);
}

void Filesystem::SetXattr(Request request, uint64_t id, const std::string& name, const std::string& value, int flags) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (node->kind == InodeKind::kDataset && absl::StartsWith(name, kAttributePrefix)) {
    return WhenHeard(std::move(request), [this, node, ours = OurName(name), value, flags](Request heard) {
      tree_.SetAttribute(std::move(heard), *node, ours, value, flags);
    });
  }
  if (!node->InsideDataset() || absl::StartsWith(name, kAttributePrefix)) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, name, value, flags](Request inside, LocalMount::Use in) {
    passthrough_.SetXattr(std::move(inside), in, *node, name, value, flags);
  });
}

void Filesystem::RemoveXattr(Request request, uint64_t id, const std::string& name) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (node->kind == InodeKind::kDataset && absl::StartsWith(name, kAttributePrefix)) {
    return WhenHeard(std::move(request), [this, node, ours = OurName(name)](Request heard) {
      tree_.SetAttribute(std::move(heard), *node, ours, std::nullopt, 0);
    });
  }
  if (!node->InsideDataset() || absl::StartsWith(name, kAttributePrefix)) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, name](Request inside, LocalMount::Use in) {
    passthrough_.RemoveXattr(std::move(inside), in, *node, name);
  });
}

}  // namespace flocker
