#include "engine/model/attachment.h"

#include <array>

namespace flocker {
namespace {

constexpr std::array<std::string_view, 19> kStepNames = {"none",
                                                         "login",
                                                         "loop",
                                                         "format",
                                                         "report-formatted",
                                                         "mount",
                                                         "report-attached",
                                                         "grow",
                                                         "sync",
                                                         "gate",
                                                         "scan",
                                                         "umount",
                                                         "prove",
                                                         "remount",
                                                         "report-busy",
                                                         "unloop",
                                                         "logout",
                                                         "report-released",
                                                         "drop"};
static_assert(kStepNames.size() == static_cast<size_t>(LocalStep::kDrop) + 1);

LocalStep NextToAttach(const Attachment& a) {
  switch (a.stage) {
    case Stage::kEmpty:
      return LocalStep::kStartLun;
    case Stage::kServing:
      return LocalStep::kAttachLoop;
    case Stage::kLooped:
      return LocalStep::kFormat;
    case Stage::kFormatted:
      if (a.formatted) return LocalStep::kMount;
      return a.reported ? LocalStep::kNone : LocalStep::kReportFormatted;
    case Stage::kMounted:
      // In a renewal there is nothing to report before the LUN server is logged in again.
      if (a.session_epoch != a.epoch) return LocalStep::kNone;
      if (!a.reported) return LocalStep::kReportAttached;
      return a.grown ? LocalStep::kNone : LocalStep::kGrow;
  }
  return LocalStep::kNone;
}

LocalStep NextToRelease(const Attachment& a) {
  if (a.leave == Leave::kBusy) {
    return a.stage == Stage::kMounted ? LocalStep::kReportBusy : LocalStep::kRemount;
  }
  switch (a.stage) {
    case Stage::kMounted:
      switch (a.leave) {
        case Leave::kNotYet:
          return LocalStep::kSync;
        case Leave::kSynced:
          return LocalStep::kGate;
        case Leave::kGated:
          return LocalStep::kScan;
        default:
          return LocalStep::kUnmount;
      }
    case Stage::kFormatted:
    case Stage::kLooped:
      return a.leave == Leave::kProved ? LocalStep::kDetachLoop : LocalStep::kProve;
    case Stage::kServing:
      return LocalStep::kStopLun;
    case Stage::kEmpty:
      // A login that was refused or is still under way left its LUN server there: only its end proves that it holds
      // nothing.
      return a.leave == Leave::kStopped ? LocalStep::kReportReleased : LocalStep::kStopLun;
  }
  return LocalStep::kNone;
}

// kDone's effect on a release step.
void Advance(Attachment& a, LocalStep step) {
  switch (step) {
    case LocalStep::kStartLun:
    case LocalStep::kDetachLoop:
      a.stage = Stage::kServing;
      break;
    case LocalStep::kAttachLoop:
      a.stage = Stage::kLooped;
      break;
    case LocalStep::kFormat:
      a.stage = Stage::kFormatted;
      break;
    case LocalStep::kReportFormatted:
    case LocalStep::kReportAttached:
      a.reported = true;
      break;
    case LocalStep::kMount:
    case LocalStep::kRemount:
      a.stage = Stage::kMounted;
      break;
    case LocalStep::kGrow:
      a.grown = true;
      break;
    case LocalStep::kSync:
      a.leave = Leave::kSynced;
      break;
    case LocalStep::kGate:
      a.leave = Leave::kGated;
      break;
    case LocalStep::kScan:
      a.leave = Leave::kFree;
      break;
    case LocalStep::kUnmount:
      a.stage = Stage::kFormatted;
      a.leave = Leave::kUnmounted;
      break;
    case LocalStep::kProve:
      a.leave = Leave::kProved;
      break;
    case LocalStep::kReportBusy:
      a.aim = Aim::kAttach;
      a.leave = Leave::kNotYet;
      a.reported = true;
      break;
    case LocalStep::kStopLun:
      a.stage = Stage::kEmpty;
      a.leave = Leave::kStopped;
      break;
    case LocalStep::kReportReleased:
    case LocalStep::kDrop:
    case LocalStep::kNone:
      break;
  }
}

}  // namespace

std::string_view LocalStepName(LocalStep step) { return kStepNames[static_cast<size_t>(step)]; }

bool MayBeBusy(const Attachment& a, LocalStep step) {
  const bool looks =
      step == LocalStep::kGate || step == LocalStep::kScan || step == LocalStep::kUnmount || step == LocalStep::kProve;
  return a.aim == Aim::kRelease && looks && (a.stage == Stage::kMounted || a.formatted);
}

LocalStep NextLocalStep(const Attachment& a) {
  switch (a.aim) {
    case Aim::kAttach:
      return NextToAttach(a);
    case Aim::kRelease:
      return NextToRelease(a);
    case Aim::kDrop:
      return LocalStep::kDrop;
  }
  return LocalStep::kNone;
}

Attachment AfterLocalStep(Attachment a, LocalStep step, StepResult result) {
  if (result == StepResult::kBusy) a.leave = Leave::kBusy;
  if (result == StepResult::kDone) Advance(a, step);
  // A release that failed while mounted begins anew: who waited at the gate was let in meanwhile.
  if (result == StepResult::kFailed && a.stage == Stage::kMounted && a.leave != Leave::kBusy) a.leave = Leave::kNotYet;
  return a;
}

Attachment OnAttachOrder(Attachment a, uint64_t epoch, bool formatted) {
  a.epoch = epoch;
  a.formatted = a.formatted || formatted;
  a.reported = false;
  a.grown = false;
  // A release under way goes on: the order is a renewal of the session it needs to flush.
  return a;
}

Attachment OnReleaseOrder(Attachment a, uint64_t epoch) {
  a.epoch = epoch;
  if (a.aim == Aim::kAttach) {
    a.aim = Aim::kRelease;
    a.leave = Leave::kNotYet;
  }
  return a;
}

Attachment OnDropOrder(Attachment a) {
  a.aim = Aim::kDrop;
  return a;
}

Attachment Adopt(Attachment a, const Found& found) {
  a.reported = false;
  a.leave = Leave::kNotYet;                          // the gate ended with the agent that asked for it
  if (a.aim == Aim::kRelease) a.aim = Aim::kAttach;  // control repeats the order if it still stands
  a.stage = found.mounted ? Stage::kMounted : found.loop ? Stage::kLooped : found.lun ? Stage::kServing : Stage::kEmpty;
  if (!found.lun && (found.mounted || found.loop)) a.aim = Aim::kDrop;
  return a;
}

}  // namespace flocker
