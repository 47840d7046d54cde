#include "sim_holding.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::sim {
namespace {

constexpr absl::Duration kLoginTimeout = absl::Seconds(6);

absl::Status Broken() { return absl::UnavailableError("the device fails"); }

}  // namespace

SimHolding::SimHolding(Sim& sim, Machine& machine, Context context, Attachment attachment,
                       std::optional<AttachOrder> order)
    : sim_(sim),
      machine_(machine),
      context_(std::move(context)),
      key_(attachment.id, attachment.mount_epoch),
      attachment_(std::move(attachment)),
      order_(std::move(order)) {
  if (!order_) Adopt();
  Wake();
}

SimHolding::~SimHolding() {
  if (lun_ != nullptr) lun_->AgentGone();
}

// ---- orders ----

void SimHolding::OnAttach(const AttachOrder& order) {
  if (order.epoch < attachment_.epoch || TooLate(order.epoch)) return;
  const Attachment before = attachment_;
  attachment_ = OnAttachOrder(attachment_, order.epoch, order.formatted);
  if (before.epoch != attachment_.epoch || before.formatted != attachment_.formatted) Save();
  order_ = order;
  Kick();
  if (lun_ != nullptr) Login(order);
}

void SimHolding::OnRelease(uint64_t epoch) {
  if (epoch < attachment_.epoch || TooLate(epoch)) return;
  attachment_ = OnReleaseOrder(attachment_, epoch);
  Kick();
}

bool SimHolding::TooLate(uint64_t epoch) {
  if (!over_ && attachment_.aim != Aim::kDrop) return false;
  attachment_.epoch = epoch;
  not_held_ = true;
  if (over_) Report(rpc::Report::NOT_HELD, "it was let go of before this order came");
  return true;
}

void SimHolding::OnDrop(uint64_t epoch) {
  if (epoch < attachment_.epoch || over_ || attachment_.aim == Aim::kDrop) return;
  attachment_ = OnDropOrder(attachment_);
  Save();
  Kick();
  if (lun_ != nullptr) lun_->Fence();
}

void SimHolding::Repeat() {
  if (lun_ != nullptr && lost_epoch_ && *lost_epoch_ == attachment_.epoch) {
    Report(rpc::Report::SESSION_LOST, "its session is gone");
  }
}

std::optional<rpc::Held> SimHolding::held() const {
  if (over_ || attachment_.aim == Aim::kDrop) return std::nullopt;
  rpc::Held held;
  held.set_dataset_id(key_.first.str());
  held.set_epoch(attachment_.epoch);
  held.set_mount_epoch(key_.second);
  held.set_mounted(attachment_.stage == Stage::kMounted);
  return held;
}

void SimHolding::Report(rpc::Report::Kind kind, const std::string& message) {
  rpc::AgentUp up;
  up.mutable_report()->set_dataset_id(key_.first.str());
  up.mutable_report()->set_epoch(attachment_.epoch);
  up.mutable_report()->set_kind(kind);
  up.mutable_report()->set_message(message);
  sim_.Say("agent   ", machine_.name(), " ", key_.first.Short(), " reports ", rpc::Report::Kind_Name(kind), " e",
           attachment_.epoch, " ", message);
  context_.send(up);
}

// ---- the LUN server ----

void SimHolding::Connect(const std::shared_ptr<LunProcess>& lun) {
  lun_ = lun;
  const auto bound = [this](auto f) {
    return [this, token = life_.token(), f](auto... args) {
      if (token.expired()) return;  // the agent is gone; the process goes on
      machine_.After(life_, absl::Microseconds(50), [f, args...] { f(args...); });
    };
  };
  using State = LunProcess::State;
  accepts_login_ = lun->state() == State::kAwaitingLogin || lun->state() == State::kBroken;
  session_epoch_ = lun->state() == State::kServing ? lun->epoch() : 0;
  if (lun->state() == State::kBroken) lost_epoch_ = lun->epoch();
  lun->Listen({.ready = bound([this](uint64_t epoch) { OnReady(epoch); }),
               .session_lost = bound([this](uint64_t epoch, const std::string& why) { OnLost(epoch, why); }),
               .ended = bound([this] { OnLunEnded(); }),
               .died = bound([this] { OnLunDied(); })});
}

void SimHolding::Login(const AttachOrder& order) {
  if (session_epoch_ == order.epoch || (lost_epoch_ && *lost_epoch_ >= order.epoch)) return;
  pending_ = order;
  if (accepts_login_) SendLogin();
}

void SimHolding::SendLogin() {
  accepts_login_ = false;
  lun_->Login(*pending_);
}

void SimHolding::OnReady(uint64_t epoch) {
  if (lun_ == nullptr) return;  // it was stopped meanwhile
  session_epoch_ = epoch;
  lost_epoch_.reset();
  CheckWait();
  attachment_.session_epoch = epoch;
  Wake();
}

void SimHolding::OnLost(uint64_t epoch, const std::string& reason) {
  if (lun_ == nullptr) return;
  session_epoch_ = 0;
  lost_epoch_ = epoch;
  accepts_login_ = true;
  if (pending_ && pending_->epoch > epoch) {
    SendLogin();
  } else if (epoch == attachment_.epoch) {
    Report(rpc::Report::SESSION_LOST, reason);
  }
  CheckWait();
}

// A successor is started at once, or at a later tick when that fails.
void SimHolding::OnLunEnded() {
  session_epoch_ = 0;
  accepts_login_ = false;
  const absl::Duration takes = sim_.random.Percent(10)
                                   ? sim_.random.Between(absl::Milliseconds(500), absl::Seconds(2))
                                   : sim_.random.Between(absl::Milliseconds(5), absl::Milliseconds(50));
  machine_.After(life_, takes, [lun = lun_] {
    if (lun != nullptr) lun->Succeed();
  });
}

void SimHolding::OnLunDied() {
  session_epoch_ = 0;
  not_held_ = true;
  attachment_ = OnDropOrder(attachment_);
  Kick();
  CheckWait();
}

// The step that logs in waits for one of these.
void SimHolding::CheckWait() {
  if (!wait_ready_) return;
  absl::Status status;
  if (lun_->file_ready() && session_epoch_ >= wait_epoch_) {
    status = absl::OkStatus();
  } else if (!lun_->alive()) {
    status = absl::UnavailableError("flocker-lun ended");
  } else if (lost_epoch_ && *lost_epoch_ >= wait_epoch_) {
    status = absl::UnavailableError("the login failed");
  } else {
    return;
  }
  std::exchange(wait_ready_, nullptr)(status);
}

// ---- the steps' order ----

void SimHolding::Adopt() {
  const auto found = machine_.stacks().find(key_);
  if (found != machine_.stacks().end() && found->second.lun != nullptr &&
      found->second.lun->state() == LunProcess::State::kDown) {
    // Only a service manager can have kept it so. Now and then there is no successor after all.
    if (sim_.random.Percent(90)) {
      found->second.lun->Succeed();
    } else {
      found->second.lun->Die(/*with_machine=*/false);
    }
  }
  const bool answers = found != machine_.stacks().end() && found->second.lun != nullptr && found->second.lun->alive();
  Found seen;
  if (found != machine_.stacks().end()) {
    seen = {.lun = answers && found->second.lun->file_ready(),
            .loop = found->second.loop,
            .mounted = found->second.mounted};
  }
  attachment_ = flocker::Adopt(attachment_, seen);
  if (answers) {
    Connect(found->second.lun);
    attachment_.session_epoch = session_epoch_;
  } else {
    not_held_ = true;
  }
  if (attachment_.stage == Stage::kEmpty && !answers) attachment_ = OnDropOrder(attachment_);
}

void SimHolding::Wake() {
  if (growing_ && NextLocalStep(attachment_) == LocalStep::kReportAttached) TellControl(LocalStep::kReportAttached);
  if (std::exchange(woken_, true)) return;
  machine_.After(life_, absl::Microseconds(20), [this] {
    woken_ = false;
    Work();
  });
}

void SimHolding::Work() {
  while (!over_ && !stepping_ && !paused_) {
    const LocalStep step = NextLocalStep(attachment_);
    if (step == LocalStep::kNone) return;
    if (TellControl(step)) continue;
    stepping_ = true;
    growing_ = step == LocalStep::kGrow;
    sim_.Say("agent   ", machine_.name(), " ", key_.first.Short(), " e", attachment_.epoch, " ",
             LocalStepName(step).data());
    const absl::Duration takes = sim_.random.Percent(10)
                                     ? sim_.random.Between(absl::Milliseconds(1), absl::Milliseconds(500))
                                     : sim_.random.Between(absl::Microseconds(100), absl::Milliseconds(5));
    machine_.After(life_, takes, [this, step, epoch = attachment_.epoch] {
      Start(step, [this, step, epoch, token = life_.token()](const absl::Status& status) {
        if (!token.expired()) Finish(step, epoch, status);
      });
    });
    return;
  }
}

void SimHolding::Finish(LocalStep step, uint64_t epoch, const absl::Status& status) {
  stepping_ = false;
  growing_ = false;
  if (step == LocalStep::kGrow && attachment_.epoch != epoch) return Wake();
  if (step == LocalStep::kDrop) {
    Report(not_held_ ? rpc::Report::NOT_HELD : rpc::Report::DROPPED, "cleaned up");
    return Over();
  }
  const bool busy = !status.ok() && CauseOf(status) == Cause::kBusy && MayBeBusy(attachment_, step);
  const StepResult result = status.ok() ? StepResult::kDone : busy ? StepResult::kBusy : StepResult::kFailed;
  attachment_ = AfterLocalStep(attachment_, step, result);
  if (busy) busy_ = std::string(status.message());
  if (result == StepResult::kFailed && attachment_.aim != Aim::kDrop) {
    const bool reported =
        step == LocalStep::kStartLun && lun_ != nullptr && lost_epoch_ && *lost_epoch_ >= attachment_.epoch;
    paused_ = true;
    if (!reported) Report(rpc::Report::FAILED, absl::StrCat(LocalStepName(step).data(), ": ", status.message()));
  }
  Wake();
}

bool SimHolding::TellControl(LocalStep step) {
  switch (step) {
    case LocalStep::kReportFormatted:
      Report(rpc::Report::FORMATTED, "");
      break;
    case LocalStep::kReportAttached:
      Report(rpc::Report::ATTACHED, "");
      break;
    case LocalStep::kReportBusy:
      Report(rpc::Report::BUSY, busy_);
      break;
    case LocalStep::kReportReleased:
      machine_.journal.erase(key_);
      Report(rpc::Report::RELEASED, "");
      Over();
      break;
    default:
      return false;
  }
  attachment_ = AfterLocalStep(attachment_, step, StepResult::kDone);
  return true;
}

// The thread has nothing left to do; a moment later the agent forgets it.
void SimHolding::Over() {
  over_ = true;
  machine_.After(life_, sim_.random.Between(absl::ZeroDuration(), absl::Milliseconds(3)),
                 [this] { context_.forget(key_); });
}

// ---- the steps ----

void SimHolding::Start(LocalStep step, Done done) {
  switch (step) {
    case LocalStep::kStartLun:
      return StartLun(std::move(done));
    case LocalStep::kAttachLoop:
      if (!lun_->alive()) return done(Broken());
      if (!lun_->file_ready()) sim_.truth.Violated("a loop over a file that no LUN server serves yet");
      stack().loop = true;
      return done(absl::OkStatus());
    case LocalStep::kFormat:
      return Format(std::move(done));
    case LocalStep::kMount:
    case LocalStep::kRemount:
      return Mount(std::move(done));
    case LocalStep::kGrow:  // at times it takes long, with a journal that has much to write
      if (!sim_.random.Percent(5)) return done(absl::OkStatus());
      return machine_.After(life_, sim_.random.Between(absl::ZeroDuration(), absl::Seconds(8)),
                            [done = std::move(done)] { done(absl::OkStatus()); });
    case LocalStep::kSync:
      if (stack().filesystem == nullptr) return done(Broken());
      return stack().filesystem->Sync([done](bool ok) { done(ok ? absl::OkStatus() : Broken()); });
    case LocalStep::kGate:
      return done(sim_.random.Percent(50) ? ScanFor(/*hidden=*/false) : absl::OkStatus());
    case LocalStep::kScan:
      return done(ScanFor(/*hidden=*/false));
    case LocalStep::kUnmount:
      return Unmount(std::move(done));
    case LocalStep::kProve:
      return Prove(std::move(done));
    case LocalStep::kDetachLoop:
      stack().loop = false;
      return done(absl::OkStatus());
    case LocalStep::kStopLun:
      return StopLun(std::move(done));
    case LocalStep::kDrop:
      Drop();
      return done(absl::OkStatus());
    default:
      return done(absl::InternalError("no step"));
  }
}

void SimHolding::StartLun(Done done) {
  if (!order_) return done(absl::FailedPreconditionError("waits for control's order"));
  if (lun_ == nullptr) Connect(machine_.StartLun(key_));
  wait_epoch_ = order_->epoch;
  wait_ready_ = std::move(done);
  Login(*order_);
  CheckWait();
  machine_.After(life_, kLoginTimeout, [this, epoch = wait_epoch_] {
    if (wait_ready_ && wait_epoch_ == epoch) {
      std::exchange(wait_ready_, nullptr)(absl::DeadlineExceededError("no login in time"));
    }
  });
}

// The rule of mkfs: only what is recorded as blank, and is.
void SimHolding::Format(Done done) {
  const bool formatted = attachment_.formatted;
  if (!formatted && !order_) return done(absl::FailedPreconditionError("waits for control's order"));
  if (stack().formatting) return done(absl::UnavailableError("the device is in use by mkfs"));
  const auto look = [this, token = life_.token(), formatted, done](bool ok, const Disk& disk) {
    if (token.expired()) return;
    if (!ok) return done(Broken());
    if (formatted && !disk.formatted) return done(absl::FailedPreconditionError("no ext4 of ours is on it"));
    if (disk.formatted && !sim_.planted(Plant::kFormatUnasked)) return done(absl::OkStatus());
    stack().formatting = true;
    lun_->Submit({.kind = Command::Kind::kFormat}, [&machine = machine_, key = key_, done](bool made, const Disk&) {
      if (machine.stacks().contains(key)) machine.stack(key).formatting = false;
      done(made ? absl::OkStatus() : Broken());
    });
  };
  lun_->Submit({.kind = Command::Kind::kRead}, look);
}

void SimHolding::Mount(Done done) {
  if (stack().filesystem != nullptr && stack().filesystem->dying()) {  // the kernel waits for its end
    return machine_.After(life_, absl::Milliseconds(20), [this, done = std::move(done)] { Mount(done); });
  }
  if (stack().filesystem != nullptr) {  // its superblock is alive: somebody hidden held it
    stack().mounted = true;
    return done(absl::OkStatus());
  }
  lun_->Submit({.kind = Command::Kind::kRead}, [this, token = life_.token(), done](bool ok, const Disk& disk) {
    if (token.expired()) return;  // the mount call died with the agent
    if (!ok || !disk.formatted) return done(Broken());
    stack().filesystem = std::make_shared<Filesystem>(sim_, machine_, stack().lun, key_.first, disk.blocks);
    stack().mounted = true;
    done(absl::OkStatus());
  });
}

absl::Status SimHolding::ScanFor(bool hidden) {
  const auto& filesystem = stack().filesystem;
  if (filesystem == nullptr || !filesystem->held() || filesystem->hidden() != hidden) return absl::OkStatus();
  return Refuse(Cause::kBusy, "a process holds it");
}

void SimHolding::Unmount(Done done) {
  if (const absl::Status held = ScanFor(/*hidden=*/false); !held.ok()) return done(held);
  if (stack().filesystem == nullptr) return done(absl::OkStatus());
  stack().mounted = false;
  if (stack().filesystem->held()) return done(absl::OkStatus());  // the superblock lives on elsewhere
  stack().filesystem->Die();
  stack().filesystem->Sync([token = life_.token(), &machine = machine_, key = key_, done](bool ok) {
    if (machine.stacks().contains(key)) machine.stack(key).filesystem = nullptr;  // with or without its agent
    if (!token.expired()) done(ok ? absl::OkStatus() : Broken());
  });
}

void SimHolding::Prove(Done done) {
  if (sim_.planted(Plant::kProofSkipped)) return done(absl::OkStatus());
  if (stack().formatting) return done(Refuse(Cause::kBusy, "the device is held by mkfs"));
  if (stack().filesystem == nullptr) return done(absl::OkStatus());
  if (stack().filesystem->held() || stack().filesystem->dying())
    return done(Refuse(Cause::kBusy, "the device is held by somebody no scan sees"));
  Unmount(std::move(done));  // who held it let go: the superblock goes now
}

void SimHolding::StopLun(Done done) {
  if (lun_ == nullptr) return done(absl::OkStatus());
  const bool in_use = (stack().loop || stack().filesystem != nullptr) && !sim_.planted(Plant::kProofSkipped);
  const bool stops = lun_->Stop(in_use, [this, token = life_.token(), &machine = machine_, key = key_, done] {
    if (machine.stacks().contains(key) && machine.stack(key).filesystem == nullptr) machine.Erase(key);
    if (token.expired()) return;
    lun_ = nullptr;
    attachment_.session_epoch = 0;
    done(absl::OkStatus());
  });
  if (!stops) done(Refuse(Cause::kBusy, "the file is in use"));
}

void SimHolding::Drop() {
  if (stack().filesystem != nullptr) stack().filesystem->Shutdown();
  if (lun_ != nullptr) {
    lun_->Listen({});
    lun_->Die(/*with_machine=*/false);
  }
  machine_.Erase(key_);
  machine_.journal.erase(key_);
}

}  // namespace flocker::sim
