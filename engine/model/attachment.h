// The agent's half: what a node holds of one dataset, and the next local step, as pure functions. The agent runs a step
// (each may block), applies its result, asks for the next one. Steps of one dataset never overlap.
//
//   attach:   start-lun -> attach-loop -> format -> report-formatted (wait for the order to say so) -> mount -> report
//             -> grow; in a renewal: (login) -> report -> grow. Growing takes its time, and control waits for the
//             report
//   release:  sync -> gate -> scan -> unmount -> prove -> detach-loop -> stop-lun -> report
//             somebody holds it: (remount ->) report-busy, attached as before
//   drop:     one step that waits for nothing and no device, then gone
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/model/ids.h"

namespace flocker {

// How far up the stack stands; each stage contains the ones before it.
enum class Stage { kEmpty, kServing, kLooped, kFormatted, kMounted };

// How far a release has come while the filesystem is still, or could be again, ours.
enum class Leave { kNotYet, kSynced, kGated, kFree, kUnmounted, kProved, kStopped, kBusy };

enum class Aim {
  kAttach,
  kRelease,
  kDrop,  // fenced, or its LUN server is dead without a successor: clean up without waiting
};

struct Attachment {
  DatasetId id;
  std::string name;
  uint64_t mount_epoch = 0;
  uint64_t epoch = 0;
  uint32_t serial = 0;  // unique on this node for ever; the upper half of its files' inode numbers in the tree
  Aim aim = Aim::kAttach;
  Stage stage = Stage::kEmpty;
  Leave leave = Leave::kNotYet;
  uint64_t session_epoch = 0;  // the grant under which its LUN server is logged in; 0: it is not
  bool formatted = false;      // control has committed that an ext4 of ours is on it
  bool grown = false;          // what is mounted has the size that the LUN had at the last login
  bool reported = false;       // the present aim's end (or the wait for `formatted`) was reported
  bool operator==(const Attachment&) const = default;
};

enum class LocalStep {
  kNone,             // nothing to do until an order or an event comes
  kStartLun,         // start flocker-lun, log in, FUSE file there
  kAttachLoop,       // loop device on the file
  kFormat,           // look at it; mkfs where the rule allows
  kReportFormatted,  // then wait for the order that says it is committed
  kMount,            // UUID equal, fsck when asked for, mount, serial into the catalogue
  kReportAttached,
  kGrow,        // loop and filesystem take over what the LUN has grown by; what cannot be is reported once more
  kSync,        // syncfs, before anybody is made to wait
  kGate,        // flocker-fs lets nobody new in and counts its open handles
  kScan,        // processes and mount namespaces
  kUnmount,     // flocker-fs drops its descriptor, umount
  kProve,       // O_EXCL on the block device: the authority
  kRemount,     // it was held after all
  kReportBusy,  // flocker-fs lets in again; attached as before
  kDetachLoop,
  kStopLun,         // log out, FUSE file gone
  kReportReleased,  // and forget it
  kDrop,            // and forget it
};
std::string_view LocalStepName(LocalStep step);

enum class StepResult {
  kDone,
  kBusy,    // somebody holds it; only where MayBeBusy
  kFailed,  // tried again when control repeats its order
};

// Whether a step that found the dataset in use means that users hold it, so that the release is refused. One that was
// never mounted is held by nobody but a passing probe or mkfs: that is a failure to try again, as is any other step's.
bool MayBeBusy(const Attachment& attachment, LocalStep step);

LocalStep NextLocalStep(const Attachment& attachment);

// The attachment after a step. After kReportReleased or kDrop there is nothing left to keep.
Attachment AfterLocalStep(Attachment attachment, LocalStep step, StepResult result);

// An order of control's arrives: attach (again), release. Orders for an older epoch are for the caller to ignore.
Attachment OnAttachOrder(Attachment attachment, uint64_t epoch, bool formatted);
Attachment OnReleaseOrder(Attachment attachment, uint64_t epoch);
Attachment OnDropOrder(Attachment attachment);

// After a restart of the agent: what the journal says against what is found on the machine.
struct Found {
  bool lun = false;      // its LUN server answers, and serves its file
  bool loop = false;     // a loop device over its file
  bool mounted = false;  // at its own path
};
Attachment Adopt(Attachment journaled, const Found& found);

}  // namespace flocker
