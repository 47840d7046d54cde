// What a holding's steps do to this machine. Its orders, events and thread are in holding.cc.
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/agent/holding.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/catalog/inode_numbers.h"
#include "engine/volume/exclusive.h"
#include "engine/volume/format.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/growth.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

constexpr absl::Duration kLoginTimeout = absl::Seconds(30);
constexpr absl::Duration kStopTimeout = absl::Seconds(20);
constexpr absl::Duration kDetachTimeout = absl::Seconds(5);
constexpr char kRemedy[] = "; end or close that, then try again";
constexpr absl::Duration kGateGrace = absl::Milliseconds(200);  // DESIGN §2: RELEASE arrives asynchronously

}  // namespace

absl::Status Holding::RunStep(LocalStep step) {
  switch (step) {
    case LocalStep::kStartLun:
      return StartLun();
    case LocalStep::kAttachLoop:
      return AttachLoopDevice();
    case LocalStep::kFormat:
      return Format();
    case LocalStep::kMount:
    case LocalStep::kRemount:
      return MountHere();
    case LocalStep::kGrow:
      return Grow();
    case LocalStep::kSync:
      return SyncFilesystem(NativePath());
    case LocalStep::kGate:
      return GateTree();
    case LocalStep::kScan:
      return Scan();
    case LocalStep::kUnmount:
      return Unmount();
    case LocalStep::kProve: {
      ASSIGN_OR_RETURN(const LoopDevice loop, Loop());
      RETURN_IF_ERROR(UnmountFilesystem(FormatPath()));
      RETURN_IF_ERROR(ProveExclusive(loop.path()));
      return RemoveReleasedPath(NativePath());
    }
    case LocalStep::kDetachLoop:
      return DetachLoopDevice();
    case LocalStep::kStopLun:
      return StopLun();
    case LocalStep::kDrop:
      Drop();
      return absl::OkStatus();
    default:
      return absl::InternalError("no step");
  }
}

absl::Status Holding::StartLun() {
  std::shared_ptr<LunServer> server = lun();
  AttachOrder order;
  {
    const MutexLock lock(mutex_);
    if (!order_) return absl::FailedPreconditionError("waits for control's order");
    order = *order_;
  }
  if (server == nullptr) {
    ASSIGN_OR_RETURN(server, LunServer::Start(Paths(), *context_.watcher, *context_.store, LunEvents()));
    FLOCKER_FAULT_POINT("agent.lun-started");
    const MutexLock lock(mutex_);
    lun_ = server;
    if (!control_reachable_) lun_->SetControlReachable(false);  // it went while this one was being started
  }
  server->Login(order);
  return server->WaitReady(order.epoch, kLoginTimeout);
}

absl::StatusOr<LoopDevice> Holding::Loop() const {
  ASSIGN_OR_RETURN(std::optional<LoopDevice> loop, FindLoop(FilePath()));
  if (!loop) return absl::NotFoundError(absl::StrCat("no loop device over ", FilePath()));
  return *std::move(loop);
}

absl::Status Holding::AttachLoopDevice() {
  const auto attached = FindLoop(FilePath());
  if (attached.ok() && attached->has_value()) return absl::OkStatus();
  // A LUN server that is on its way out leaves the empty file it was mounted over.
  ASSIGN_OR_RETURN(const std::optional<MountEntry> mount, FindMount(FilePath()));
  if (!mount) return absl::UnavailableError(absl::StrCat(FilePath(), " is not served"));
  return AttachLoop(FilePath(), lun()->block_size()).status();
}

MountRequest Holding::MountOptions(const std::string& path) const {
  MountRequest request;
  request.id = id_;
  request.path = path;
  return request;
}

absl::Status Holding::Format() {
  ASSIGN_OR_RETURN(const LoopDevice loop, Loop());
  // An agent that was killed within LOOP_CONFIGURE left a device of no size: the kernel's question for it was cut
  // short.
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(loop));
  if (const std::shared_ptr<LunServer> server = lun(); server == nullptr || server->size() != size) {
    RETURN_IF_ERROR(GrowLoop(loop));
  }
  bool formatted = false;
  FreshRoot root;
  {
    const MutexLock lock(mutex_);
    formatted = attachment_.formatted;
    if (!formatted && !order_) return absl::FailedPreconditionError("waits for control's order");
    if (order_) root = {.uid = order_->root_uid, .gid = order_->root_gid, .mode = order_->root_mode};
  }
  // Where a try that was cut short left it.
  RETURN_IF_ERROR(UnmountFilesystem(FormatPath()));
  ASSIGN_OR_RETURN(const Prepared prepared, PrepareFilesystem(loop.path(), id_, formatted));
  if (!prepared.check.empty()) OnLunNotice("checked", prepared.check);
  if (formatted) return MayGrowMounted() ? absl::OkStatus() : GrowBeforeMount(loop);
  FLOCKER_FAULT_POINT("agent.mkfs");
  // Its root is made ready at a path nobody is told of: only when control has committed that it is formatted does the
  // mount come to where users write.
  MountRequest request = MountOptions(FormatPath());
  request.device = loop.path();
  request.fresh_root = root;
  RETURN_IF_ERROR(MountFilesystem(request));
  FLOCKER_FAULT_POINT("agent.first-mount");
  return absl::OkStatus();
}

// Where it cannot grow once it is mounted. What a resize2fs that failed left behind is looked at before it is mounted.
absl::Status Holding::GrowBeforeMount(const LoopDevice& loop) {
  const absl::Status grown = GrowUnmounted(loop.path());
  if (grown.ok()) return absl::OkStatus();
  OnLunNotice("not-grown", std::string(grown.message()));
  return PrepareFilesystem(loop.path(), id_, /*formatted=*/true).status();
}

absl::Status Holding::Grow() {
  ASSIGN_OR_RETURN(const LoopDevice loop, Loop());
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(loop));
  const std::shared_ptr<LunServer> server = lun();
  // Only when there is something to do: what asks the file waits with it.
  if (server != nullptr && server->size() > size) RETURN_IF_ERROR(GrowLoop(loop));
  FLOCKER_FAULT_POINT("agent.loop-grown");
  return GrowMounted(loop.path(), NativePath());
}

void Holding::NoteRemark(const absl::Status& grown) {
  if (!grown.ok()) spdlog::warn("{}: {}", id_.str(), std::string(grown.message()));
  const std::string before = std::exchange(
      remark_, grown.ok()
                   ? ""
                   : absl::StrCat("its LUN is larger than its filesystem, which follows when it is attached next: ",
                                  grown.message()));
  if (remark_ != before && attachment_.aim == Aim::kAttach) Report(rpc::Report::ATTACHED, remark_);
}

absl::Status Holding::MountHere() {
  ASSIGN_OR_RETURN(const LoopDevice loop, Loop());
  MountRequest request = MountOptions(NativePath());
  request.device = loop.path();
  request.mounted_at = FormatPath();
  RETURN_IF_ERROR(MountFilesystem(request));
  // A tool's passing probe may be in it: then the release takes it away.
  if (const absl::Status gone = UnmountFilesystem(FormatPath()); !gone.ok() && CauseOf(gone) != Cause::kBusy)
    return gone;
  context_.publish(id_, serial_, mount_epoch_);
  return absl::OkStatus();
}

HolderQuery Holding::Query() const {
  HolderQuery query;
  if (const auto loop = Loop(); loop.ok()) query.device = loop->device;
  query.mount_path = NativePath();
  query.fuse_device = context_.tree->device();
  const std::string name = context_.name_of(id_);
  const std::string inside = absl::StrCat("/", context_.node_name, "/", name);
  query.tree_path = absl::StrCat(context_.tree->mountpoint(), inside);
  query.serial = serial_;
  query.extra_inodes = {RootInode(id_)};
  query.fuse_roots = {inside};
  query.ignored = context_.tree->own_processes();
  query.ignored.insert(getpid());
  return query;
}

std::string Holding::DescribeHolders() const {
  const auto holders = FindHolders(Query());
  if (!holders.ok()) return std::string(holders.status().message());
  return holders->empty() ? "" : Describe(*holders);
}

absl::Status Holding::GateTree() {
  ASSIGN_OR_RETURN(const uint32_t open_handles, context_.tree->Gate(id_, kGateGrace));
  if (open_handles == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<Holder> holders, FindHolders(Query()));
  const std::string who = holders.empty() ? "" : absl::StrCat(": ", Describe(holders));
  return Refuse(Cause::kBusy, absl::StrCat(open_handles, " files are open through the tree", who, kRemedy));
}

absl::Status Holding::Scan() {
  RETURN_IF_ERROR(UnmountFilesystem(FormatPath()));  // where an agent that died, or a passing probe, left it
  ASSIGN_OR_RETURN(const std::vector<Holder> holders, FindHolders(Query()));
  if (holders.empty()) return absl::OkStatus();
  return Refuse(Cause::kBusy, absl::StrCat(Describe(holders), kRemedy));
}

absl::Status Holding::Unmount() {
  RETURN_IF_ERROR(context_.tree->DropDescriptors(id_, mount_epoch_));
  context_.publish(id_, 0, mount_epoch_);
  FLOCKER_FAULT_POINT("agent.tree-dropped");
  return UnmountForProof(NativePath());
}

absl::Status Holding::DetachLoopDevice() { return DetachLoopOver(FilePath(), kDetachTimeout); }

absl::Status Holding::StopLun() {
  const std::shared_ptr<LunServer> server = lun();
  if (server != nullptr) RETURN_IF_ERROR(server->Stop(kStopTimeout));
  context_.store->Remove(DescriptorStore::OfLun(id_, mount_epoch_));
  const MutexLock lock(mutex_);
  lun_.reset();
  attachment_.session_epoch = 0;
  return absl::OkStatus();
}

// The LUN server is told, so that it gives up its session; but it may be stopped or stuck itself, and the abort of its
// connection does not ask it.
void Holding::FailIo(const std::shared_ptr<LunServer>& server) const {
  if (server != nullptr) server->Fence();
  const absl::Status status = AbortFuseMount(FilePath());
  if (!status.ok()) spdlog::error("{}: I/O may still wait: {}", id_.str(), std::string(status.message()));
}

// DESIGN §4, "a fenced agent cleans up": nothing here waits for the device; what fails is said and passed over, for
// each step is worth doing without the others.
void Holding::Drop() {
  const auto note = [&](const absl::Status& status) {
    if (!status.ok()) spdlog::warn("{} dropping: {}", id_.str(), std::string(status.message()));
  };
  const std::shared_ptr<LunServer> server = lun();
  FailIo(server);
  context_.publish(id_, 0, mount_epoch_);
  note(context_.tree->DropDescriptors(id_, mount_epoch_));
  for (const std::string& path : {NativePath(), FormatPath()}) note(DetachFilesystem(path));
  // Busy is no failure here: it detaches by itself when its last holder is gone.
  const absl::Status detached = DetachLoopOver(FilePath(), absl::ZeroDuration());
  if (!detached.ok() && CauseOf(detached) != Cause::kBusy) note(detached);
  note(DetachFuseMount(FilePath()));
  if (server != nullptr) server->Kill();
  context_.store->Remove(DescriptorStore::OfLun(id_, mount_epoch_));
  for (const std::string& path : {FilePath(), SocketPath()}) unlink(path.c_str());
  note(context_.journal->Erase(id_, mount_epoch_));
  context_.tree->Ungate(id_);
}

}  // namespace flocker
