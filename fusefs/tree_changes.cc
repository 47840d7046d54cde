#include <fcntl.h>
#include <linux/fs.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/names.h"
#include "fusefs/caller.h"
#include "fusefs/errno.h"
#include "fusefs/tree.h"

namespace flocker {

bool Tree::MayChange(const Request& request) const {
  const fuse_ctx& caller = request.caller();
  if (caller.uid == 0) return true;
  if (!group_) return false;
  if (caller.gid == *group_) return true;
  const std::vector<gid_t> groups = request.Groups();
  return std::find(groups.begin(), groups.end(), *group_) != groups.end();
}

absl::Status Tree::CheckCaller(const Request& request) const {
  if (MayChange(request)) return absl::OkStatus();
  return Refuse(Cause::kDenied, "only root and the group flocker may do that");
}

absl::Status Tree::CheckReach() const {
  if (control_reached_()) return absl::OkStatus();
  return Refuse(Cause::kNoControl, "the control service cannot be reached; nothing was changed; see the agent's log");
}

absl::Status Tree::CheckConnected(const NodeId& node) const {
  const auto found = view_.FindNode(node);
  if (found && found->connected) return absl::OkStatus();
  return Refuse(Cause::kNodeDown, absl::StrCat(view_.NodeName(node), " is not connected; start its agent"));
}

absl::Status Tree::CheckMake(const Request& request, const Inode& parent, const std::string& name) const {
  if (parent.kind != InodeKind::kNodeDirectory) {
    return Refuse(Cause::kForbidden, "directories are made in a node's directory only");
  }
  RETURN_IF_ERROR(CheckCaller(request));
  RETURN_IF_ERROR(CheckName(name));
  if (!create_on_bind_ && IsDockerd(request)) {
    return Refuse(Cause::kForbidden, absl::StrCat("dockerd makes no datasets here (create_on_bind: false): is ", name,
                                                  " a typo? If not, mkdir it first"));
  }
  RETURN_IF_ERROR(CheckReach());
  return CheckConnected(parent.node);
}

void Tree::Make(Request request, const Inode& parent, const std::string& name, mode_t mode) {
  const bool noted = Operations::Noted(request).has_value();  // then it was checked, and may be done already
  if (const absl::Status check = CheckMake(request, parent, name); !noted && !check.ok()) {
    refusals_.Here({{}, name}, check);
    return request.Error(StatusErrno(check));
  }
  const fuse_ctx& caller = request.caller();
  CatalogDataset made;  // as it will be shown, should the catalogue be slow to
  made.name = name;
  made.node = parent.node;
  made.root_uid = caller.uid;
  made.root_gid = caller.gid;
  made.root_mode = mode & ~caller.umask & 07777;
  Operations::Operation operation;
  *operation.request.mutable_caller() = DescribeCaller(request);
  rpc::Create& create = *operation.request.mutable_create();
  create.set_node_id(parent.node.str());
  create.set_name(name);
  create.set_root_uid(made.root_uid);
  create.set_root_gid(made.root_gid);
  create.set_root_mode(made.root_mode);
  operation.settled = [this](const DatasetId& id) { return view_.Find(id).has_value(); };
  operation.done = [this, made](Request answered, absl::StatusOr<DatasetId> outcome) mutable {
    if (!outcome.ok()) {
      refusals_.Answered({{}, made.name}, outcome.status());
      return answered.Error(StatusErrno(outcome.status()));
    }
    spdlog::info("made {}/{} {}", view_.NodeName(made.node), made.name, outcome->str());
    made.id = *outcome;
    const auto shown = view_.Find(*outcome);
    ReplyEntry(std::move(answered), inodes_.Dataset(*outcome, {made.node, made.name}),
               datasets_.RootAttributes(shown ? *shown : made));
  };
  operations_.Submit(std::move(request), std::move(operation));
}

absl::StatusOr<CatalogDataset> Tree::CheckRemove(const Request& request, const Inode& parent,
                                                 const std::string& name) const {
  const bool trash = parent.kind == InodeKind::kTrash;
  if (!trash && parent.kind != InodeKind::kNodeDirectory) {
    return Refuse(Cause::kForbidden, "nodes and the trash are not removed here");
  }
  RETURN_IF_ERROR(CheckCaller(request));
  const auto dataset = trash ? view_.FindTrashed(name) : view_.Find(parent.node, name);
  if (!dataset) return Refuse(Cause::kNotFound, "there is no such dataset");
  RETURN_IF_ERROR(CheckReach());
  return *dataset;
}

void Tree::Remove(Request request, const Inode& parent, const std::string& name) {
  Operations::Operation operation;
  DatasetId subject;
  if (const auto noted = Operations::Noted(request)) {
    operation.request = *noted;
    subject = DatasetId::Parse(noted->has_purge() ? noted->purge().dataset_id() : noted->destroy().dataset_id())
                  .value_or(DatasetId());
  } else {
    const auto check = CheckRemove(request, parent, name);
    if (!check.ok()) {
      refusals_.Here({{}, name}, check.status());
      return request.Error(StatusErrno(check.status()));
    }
    subject = check->id;
    *operation.request.mutable_caller() = DescribeCaller(request);
    if (parent.kind == InodeKind::kTrash) {
      operation.request.mutable_purge()->set_dataset_id(subject.str());
    } else {
      operation.request.mutable_destroy()->set_dataset_id(subject.str());
    }
  }
  operation.settled = [this, purge = operation.request.has_purge(), subject](const DatasetId&) {
    const auto dataset = view_.Find(subject);
    return !dataset || (!purge && dataset->node.empty());
  };
  operation.done = [this, subject, name](Request answered, const absl::StatusOr<DatasetId>& outcome) {
    if (!outcome.ok()) refusals_.Answered({subject, name}, outcome.status());
    answered.Error(StatusErrno(outcome.status()));
  };
  operations_.Submit(std::move(request), std::move(operation));
}

namespace {

// `mv .trash/db@0123abcd node/` keeps the entry's name, which is none that a dataset can have: it gets its own back.
const std::string& NewName(const CatalogDataset& dataset, const std::string& asked) {
  return dataset.node.empty() && asked == TrashName(dataset) ? dataset.name : asked;
}

}  // namespace

absl::StatusOr<CatalogDataset> Tree::CheckRename(const Request& request, const Inode& from, const std::string& name,
                                                 const Inode& to, const std::string& new_name, unsigned flags) const {
  const bool restore = from.kind == InodeKind::kTrash;
  if (to.kind == InodeKind::kTrash || to.kind == InodeKind::kTrashed) {
    return Refuse(Cause::kForbidden, "the trash is filled by rmdir");
  }
  if ((!restore && from.kind != InodeKind::kNodeDirectory) || to.kind != InodeKind::kNodeDirectory) {
    return Refuse(Cause::kForbidden, "datasets live in node directories, and those stay");
  }
  RETURN_IF_ERROR(CheckCaller(request));
  if (flags != 0 && flags != RENAME_NOREPLACE) return Refuse(Cause::kInvalid, "a rename of this kind is unknown here");
  const auto dataset = restore ? view_.FindTrashed(name) : view_.Find(from.node, name);
  if (!dataset) return Refuse(Cause::kNotFound, "there is no such dataset");
  const std::string& shown = NewName(*dataset, new_name);
  RETURN_IF_ERROR(CheckName(shown));
  // With or without RENAME_NOREPLACE: a dataset never disappears because another one is moved.
  if (view_.Find(to.node, shown)) {
    return Refuse(Cause::kExists, absl::StrCat(view_.NodeName(to.node), "/", shown, " exists"));
  }
  RETURN_IF_ERROR(CheckReach());
  if (restore || from.node != to.node) RETURN_IF_ERROR(CheckConnected(to.node));
  return *dataset;
}

absl::StatusOr<std::pair<CatalogDataset, CatalogDataset>> Tree::CheckExchange(const Request& request, const Place& one,
                                                                              const Place& two) const {
  if (one.node.empty() || two.node.empty()) {
    return Refuse(Cause::kForbidden, "datasets change places with datasets alone");
  }
  RETURN_IF_ERROR(CheckCaller(request));
  const auto first = view_.Find(one.node, one.name);
  const auto second = view_.Find(two.node, two.name);
  if (!first || !second) return Refuse(Cause::kNotFound, "there is no such dataset");
  RETURN_IF_ERROR(CheckReach());
  if (one.node != two.node) {
    RETURN_IF_ERROR(CheckConnected(one.node));
    RETURN_IF_ERROR(CheckConnected(two.node));
  }
  return std::pair(*first, *second);
}

void Tree::Exchange(Request request, const Place& one, const Place& two) {
  Operations::Operation operation;
  DatasetId first;
  DatasetId second;
  if (const auto noted = Operations::Noted(request)) {
    operation.request = *noted;
    first = DatasetId::Parse(noted->exchange().dataset_id()).value_or(DatasetId());
    second = DatasetId::Parse(noted->exchange().other_id()).value_or(DatasetId());
  } else {
    const auto both = CheckExchange(request, one, two);
    if (!both.ok()) {
      refusals_.Here({{}, one.name}, both.status());
      return request.Error(StatusErrno(both.status()));
    }
    first = both->first.id;
    second = both->second.id;
    *operation.request.mutable_caller() = DescribeCaller(request);
    operation.request.mutable_exchange()->set_dataset_id(first.str());
    operation.request.mutable_exchange()->set_other_id(second.str());
  }
  operation.settled = [this, first, two](const DatasetId&) {
    const auto dataset = view_.Find(two.node, two.name);
    return dataset && dataset->id == first;
  };
  operation.done = [this, first, second, one, two](Request answered, const absl::StatusOr<DatasetId>& outcome) {
    if (outcome.ok()) {
      inodes_.Moved(first, one, two);
      inodes_.Moved(second, two, one);
    } else {
      refusals_.Answered({first, one.name}, outcome.status());
    }
    answered.Error(StatusErrno(outcome.status()));
  };
  operations_.Submit(std::move(request), std::move(operation));
}

void Tree::Rename(Request request, const Inode& from, const std::string& name, const Inode& to,
                  const std::string& new_name, unsigned flags) {
  if (flags == RENAME_EXCHANGE) return Exchange(std::move(request), {from.node, name}, {to.node, new_name});
  Operations::Operation operation;
  DatasetId subject;
  const Place old_place = {from.node, name};  // no node: the trash
  Place new_place = {to.node, new_name};
  const auto take = [&](const auto& wish) {
    subject = DatasetId::Parse(wish.dataset_id()).value_or(DatasetId());
    new_place.name = wish.name();
  };
  if (const auto noted = Operations::Noted(request)) {
    operation.request = *noted;
    noted->has_restore() ? take(noted->restore()) : take(noted->rename());
  } else {
    const auto check = CheckRename(request, from, name, to, new_name, flags);
    if (!check.ok()) {
      refusals_.Here({{}, name}, check.status());
      return request.Error(StatusErrno(check.status()));
    }
    subject = check->id;
    new_place.name = NewName(*check, new_name);
    *operation.request.mutable_caller() = DescribeCaller(request);
    const auto fill = [&](auto& wish) {
      wish.set_dataset_id(subject.str());
      wish.set_node_id(new_place.node.str());
      wish.set_name(new_place.name);
    };
    if (from.kind == InodeKind::kTrash) {
      fill(*operation.request.mutable_restore());
    } else {
      fill(*operation.request.mutable_rename());
    }
  }
  operation.settled = [this, subject, new_place](const DatasetId&) {
    const auto dataset = view_.Find(new_place.node, new_place.name);
    return dataset && dataset->id == subject;
  };
  operation.done = [this, subject, old_place, new_place](Request answered, const absl::StatusOr<DatasetId>& outcome) {
    if (outcome.ok()) {
      inodes_.Moved(subject, old_place, new_place);
    } else {
      refusals_.Answered({subject, old_place.name}, outcome.status());
    }
    answered.Error(StatusErrno(outcome.status()));
  };
  operations_.Submit(std::move(request), std::move(operation));
}

}  // namespace flocker
