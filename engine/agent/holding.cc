#include "engine/agent/holding.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/mountinfo.h"

namespace flocker {

Holding::Holding(const NodeContext& context, Attachment attachment, std::optional<AttachOrder> order)
    : context_(context),
      id_(attachment.id),
      mount_epoch_(attachment.mount_epoch),
      serial_(attachment.serial),
      attachment_(std::move(attachment)),
      order_(std::move(order)) {
  {
    const MutexLock lock(mutex_);
    found_ = order_.has_value();
  }
  thread_ = std::thread([this] { Run(); });
}

Holding::~Holding() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

std::string Holding::SocketPath() const { return absl::StrCat(FilePath(), ".sock"); }
std::string Holding::FilePath() const { return absl::StrCat(context_.root, "/lun/", id_.str(), ".", mount_epoch_); }
std::string Holding::FormatPath() const {
  return absl::StrCat(context_.root, "/format/", id_.str(), ".", mount_epoch_);
}
std::string Holding::NativePath() const { return MountPath(context_.root, id_, mount_epoch_); }

LunPaths Holding::Paths() const {
  return {.binary = context_.lun_binary,
          .node = context_.node_name,
          .socket = SocketPath(),
          .file = FilePath(),
          .dataset = id_,
          .mount_epoch = mount_epoch_};
}

std::shared_ptr<LunServer> Holding::lun() const {
  const MutexLock lock(mutex_);
  return lun_;
}

// ---- orders and events ----

void Holding::Wake() {
  // Control takes a node that does not use its grant for one that cannot reach the array, and would fence it.
  if (growing_ && NextLocalStep(attachment_) == LocalStep::kReportAttached) TellControl(LocalStep::kReportAttached);
  wake_.NotifyAll();
}

void Holding::Kick() {
  paused_ = false;
  Wake();
}

void Holding::Save() {
  if (const absl::Status status = context_.journal->Put(attachment_); !status.ok()) {
    spdlog::error("{} e{}: the journal cannot be written: {}", id_.str(), attachment_.epoch,
                  std::string(status.message()));
  }
}

void Holding::OnAttach(const AttachOrder& order) {
  std::shared_ptr<LunServer> server;
  {
    const MutexLock lock(mutex_);
    if (order.epoch < attachment_.epoch || TooLate(order.epoch)) return;
    const Attachment before = attachment_;
    attachment_ = OnAttachOrder(attachment_, order.epoch, order.formatted);
    if (before.epoch != attachment_.epoch || before.formatted != attachment_.formatted) Save();
    order_ = order;
    server = lun_;
    Kick();
  }
  if (order.epoch != order.mount_epoch) FLOCKER_FAULT_POINT("agent.renewal-journaled");
  if (server != nullptr) server->Login(order);
}

void Holding::OnRelease(uint64_t epoch) {
  const MutexLock lock(mutex_);
  if (epoch < attachment_.epoch || TooLate(epoch)) return;
  attachment_ = OnReleaseOrder(attachment_, epoch);
  Kick();
}

// Without an answer control would wait for ever for what nobody is going to do.
bool Holding::TooLate(uint64_t epoch) {
  if (!over_ && attachment_.aim != Aim::kDrop) return false;
  attachment_.epoch = epoch;
  not_held_ = true;
  if (over_) Report(rpc::Report::NOT_HELD, "it was let go of before this order came");
  return true;
}

void Holding::OnDrop(uint64_t epoch) {
  std::shared_ptr<LunServer> server;
  {
    const MutexLock lock(mutex_);
    // Once it is being dropped its journal entry goes, and must not be written again.
    if (epoch < attachment_.epoch || over_ || attachment_.aim == Aim::kDrop) return;
    attachment_ = OnDropOrder(attachment_);
    Save();
    server = lun_;
    Kick();
  }
  FLOCKER_FAULT_POINT("agent.drop-ordered");
  // Whatever step is under way may be waiting for the device: it fails now instead.
  FailIo(server);
}

void Holding::OnControlReachable(bool reachable) {
  const MutexLock lock(mutex_);
  control_reachable_ = reachable;
  if (lun_ != nullptr) lun_->SetControlReachable(reachable);
}

void Holding::Repeat() {
  const MutexLock lock(mutex_);
  if (lun_ == nullptr) return;
  lun_->UpgradeIfOutdated();
  if (const auto lost = lun_->lost_epoch(); lost && *lost == attachment_.epoch) {
    Report(rpc::Report::SESSION_LOST, "its session is gone");
  }
}

void Holding::OnTick() {
  std::shared_ptr<LunServer> server;
  bool retry = false;
  {
    const MutexLock lock(mutex_);
    server = lun_;
    if (server == nullptr) return;
    retry = std::exchange(writes_paused_, writes_paused_ && write_failed_again_);
    write_failed_again_ = false;
  }
  server->OnTick();
  if (retry) server->RetryWrites();
}

void Holding::OnLunNotice(const std::string& kind, const std::string& message) {
  if (kind == "write-paused") {
    const MutexLock lock(mutex_);
    write_failed_again_ = true;
    if (std::exchange(writes_paused_, true)) return;
  }
  rpc::AgentUp up;
  up.mutable_notice()->set_dataset_id(id_.str());
  up.mutable_notice()->set_kind(kind);
  up.mutable_notice()->set_message(message);
  context_.send(up);
}

void Holding::OnLunDied() {
  spdlog::error("{}: flocker-lun died and has no successor; its attachment is given up", id_.str());
  // The agent still holds the session's descriptor, so requests would wait for ever: they fail instead. The mount stays
  // until the loop is gone: detached, its file has no path any more by which the loop could be found.
  if (const absl::Status status = AbortFuseMount(FilePath()); !status.ok()) {
    spdlog::error("{}: {}", id_.str(), std::string(status.message()));
  }
  const MutexLock lock(mutex_);
  not_held_ = true;
  attachment_ = OnDropOrder(attachment_);
  Kick();
}

LunServer::Events Holding::LunEvents() {
  return {.session_lost =
              [this](uint64_t epoch, const std::string& reason) {
                const MutexLock lock(mutex_);
                if (epoch == attachment_.epoch) Report(rpc::Report::SESSION_LOST, reason);
              },
          .resumed =
              [this](uint64_t epoch) {
                const MutexLock lock(mutex_);
                attachment_.session_epoch = epoch;
                Wake();
              },
          .notice = [this](const std::string& kind, const std::string& message) { OnLunNotice(kind, message); },
          .died = [this] { OnLunDied(); }};
}

void Holding::Report(rpc::Report::Kind kind, const std::string& message) {
  rpc::AgentUp up;
  rpc::Report& report = *up.mutable_report();
  report.set_dataset_id(id_.str());
  report.set_epoch(attachment_.epoch);
  report.set_kind(kind);
  report.set_message(message);
  if (lun_ != nullptr) report.set_block_size(lun_->block_size());
  // A lost session interrupts whatever the steps so far were for; their times belong to the report that ends it.
  if (kind != rpc::Report::SESSION_LOST) {
    report.mutable_timeline()->Assign(timeline_.begin(), timeline_.end());
    timeline_.clear();
  }
  context_.send(up);
}

std::optional<rpc::Held> Holding::held() const {
  const MutexLock lock(mutex_);
  if (over_ || attachment_.aim == Aim::kDrop) return std::nullopt;
  rpc::Held held;
  held.set_dataset_id(id_.str());
  held.set_epoch(attachment_.epoch);
  held.set_mount_epoch(mount_epoch_);
  held.set_mounted(attachment_.stage == Stage::kMounted);
  return held;
}

std::optional<AttachmentFigures> Holding::Figures() const {
  const auto as_held = held();
  if (!as_held) return std::nullopt;
  AttachmentFigures figures{
      .dataset = id_.str(), .name = context_.name_of(id_), .epoch = as_held->epoch(), .mounted = as_held->mounted()};
  if (const auto server = lun(); server != nullptr) figures.session = server->session_epoch() != 0;
  if (const auto loop = Loop(); loop.ok()) {
    if (const auto io = IoOf(*loop); io.ok()) figures.io = *io;
  }
  return figures;
}

// ---- the thread ----

void Holding::WaitUntilFound() {
  MutexLock lock(mutex_);
  while (!found_) wake_.Wait(lock);
}

void Holding::AdoptFromMachine() {
  auto found_lun = LunServer::Find(Paths(), *context_.watcher, *context_.store, LunEvents());
  auto lent = context_.store->Take(DescriptorStore::OfLun(id_, mount_epoch_));
  if (lent && found_lun.ok()) {
    (*found_lun)->Lend(*std::move(lent));
  } else if (lent) {
    found_lun = LunServer::Revive(Paths(), *context_.watcher, *context_.store, *std::move(lent), LunEvents());
    if (found_lun.ok()) {
      spdlog::info("{}: its flocker-lun ended with the agent; a successor takes over", id_.str());
    } else {
      spdlog::error("{}: no successor for its flocker-lun: {}", id_.str(), std::string(found_lun.status().message()));
    }
  }
  const auto loop = FindLoop(FilePath());
  const auto mount = FindMount(NativePath());
  Found found;
  // One that was started and never logged in serves nothing yet: a loop would take the empty file under its mountpoint.
  found.lun = found_lun.ok() && (*found_lun)->file_ready();
  found.loop = loop.ok() && loop->has_value();
  found.mounted = mount.ok() && mount->has_value();
  const MutexLock lock(mutex_);
  attachment_ = Adopt(attachment_, found);
  if (found_lun.ok()) {
    lun_ = *std::move(found_lun);
    attachment_.session_epoch = lun_->session_epoch();
  } else {
    not_held_ = true;
  }
  // Nothing of it outlived the last agent (the machine was rebooted): there is no order to begin anew.
  if (attachment_.stage == Stage::kEmpty && lun_ == nullptr) attachment_ = OnDropOrder(attachment_);
  if (attachment_.stage == Stage::kMounted) context_.publish(id_, serial_, mount_epoch_);
  spdlog::info("{} e{}: found again{}{}{}", id_.str(), attachment_.epoch, found.lun ? ", LUN server" : "",
               found.loop ? ", loop" : "", found.mounted ? ", mounted" : "");
  found_ = true;
  wake_.NotifyAll();
}

void Holding::Run() {
  bool adopted = false;
  {
    const MutexLock lock(mutex_);
    adopted = !found_;
  }
  if (adopted) AdoptFromMachine();
  while (true) {
    LocalStep step = LocalStep::kNone;
    uint64_t epoch = 0;
    bool told = false;
    {
      MutexLock lock(mutex_);
      if (over_) break;
      while (!stopping_ && (paused_ || NextLocalStep(attachment_) == LocalStep::kNone)) wake_.Wait(lock);
      if (stopping_) return;
      step = NextLocalStep(attachment_);
      epoch = attachment_.epoch;
      told = TellControl(step);
      growing_ = step == LocalStep::kGrow;
    }
    if (told) {
      FLOCKER_FAULT_POINT("agent.", LocalStepName(step));
      continue;
    }
    const absl::Time start = SteadyNow();
    const absl::Status status = RunStep(step);
    if (status.ok() || step == LocalStep::kGrow) FLOCKER_FAULT_POINT("agent.", LocalStepName(step));
    const absl::Duration took = SteadyNow() - start;
    context_.count_step(LocalStepName(step), status.ok(), took);
    bool let_in = false;
    {
      const MutexLock lock(mutex_);
      growing_ = false;
      rpc::TimelineStep entry;
      entry.set_step(std::string(LocalStepName(step)));
      entry.set_duration_us(absl::ToInt64Microseconds(took));
      timeline_.push_back(std::move(entry));
      if (step == LocalStep::kDrop) {
        Report(not_held_ ? rpc::Report::NOT_HELD : rpc::Report::DROPPED, "fenced attachment cleaned up");
        over_ = true;
        break;
      }
      // What another session found meanwhile is to be looked at again.
      if (step == LocalStep::kGrow && attachment_.epoch != epoch) continue;
      if (step == LocalStep::kGrow) NoteRemark(status);
      const bool busy = !status.ok() && CauseOf(status) == Cause::kBusy && MayBeBusy(attachment_, step);
      const bool done = status.ok() || step == LocalStep::kGrow;  // what has not grown follows at the next attach
      const StepResult result = done ? StepResult::kDone : busy ? StepResult::kBusy : StepResult::kFailed;
      attachment_ = AfterLocalStep(attachment_, step, result);
      if (busy) busy_ = std::string(status.message());
      if (result == StepResult::kFailed && attachment_.aim != Aim::kDrop) {
        let_in = attachment_.aim == Aim::kRelease && attachment_.stage == Stage::kMounted;
        // A login that failed was reported as a lost session already: it takes a new grant, not a repetition.
        const bool reported = step == LocalStep::kStartLun && lun_ != nullptr && lun_->lost_epoch() &&
                              *lun_->lost_epoch() >= attachment_.epoch;
        paused_ = true;
        if (!reported) Report(rpc::Report::FAILED, absl::StrCat(LocalStepName(step).data(), ": ", status.message()));
      }
    }
    if (let_in) LetIn();
  }
  context_.forget(id_, mount_epoch_);
}

bool Holding::TellControl(LocalStep step) {
  switch (step) {
    case LocalStep::kReportFormatted:
      Report(rpc::Report::FORMATTED, "");
      break;
    case LocalStep::kReportAttached:
      Report(rpc::Report::ATTACHED, remark_);
      break;
    case LocalStep::kReportBusy:
      LetIn();
      Report(rpc::Report::BUSY, busy_);
      break;
    case LocalStep::kReportReleased:
      if (const absl::Status status = context_.journal->Erase(id_, mount_epoch_); !status.ok()) {
        spdlog::error("{}", std::string(status.message()));
      }
      Report(rpc::Report::RELEASED, "");
      context_.tree->Ungate(id_);
      over_ = true;
      break;
    default:
      return false;
  }
  attachment_ = AfterLocalStep(attachment_, step, StepResult::kDone);
  return true;
}

void Holding::LetIn() {
  context_.publish(id_, serial_, mount_epoch_);
  context_.tree->Ungate(id_);
}

}  // namespace flocker
