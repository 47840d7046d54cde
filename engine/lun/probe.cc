#include "engine/lun/probe.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/lun/arena.h"
#include "engine/lun/sense.h"

namespace flocker::lun {
namespace {

constexpr int kMaxRepeats = 16;  // one session start brings one or two unit attentions
constexpr int kVpdSize = 255;
constexpr uint64_t kUnmapMost = 256u << 20;    // where the LUN names no limit: a command must end within a task's time
constexpr uint64_t kWriteSameMost = 4u << 20;  // likewise; tgt writes block by block (tgt's usr/bs_rdwr.c)
constexpr uint32_t kDefaultGranule = 4096;     // where the LUN names none: what filesystems behind file LUNs use

struct FreeTask {
  void operator()(scsi_task* task) const { scsi_free_scsi_task(task); }
};

// The T10 vendor designator alone where there is one: it is the one that an array's administrator (on tgt: `scsi_id`)
// gives to the LUN. tgt makes the others from the number of the target, which changes when it is exported again.
std::string IdentityOf(const scsi_inquiry_device_identification& page) {
  std::string all;
  for (const auto* d = page.designators; d != nullptr; d = d->next) {
    if (d->association != SCSI_ASSOCIATION_LOGICAL_UNIT || d->designator_length <= 0) continue;
    const std::string_view bytes(d->designator, static_cast<size_t>(d->designator_length));
    std::string one =
        absl::StrCat(static_cast<int>(d->designator_type), ":", absl::BytesToHexString({bytes.data(), bytes.size()}));
    if (d->designator_type == SCSI_DESIGNATOR_TYPE_T10_VENDORT_ID) return one;
    absl::StrAppend(&all, all.empty() ? "" : ",", one);
  }
  return all;
}

}  // namespace

void Probe::Start(iscsi_context* iscsi, int lun) {
  iscsi_ = iscsi;
  lun_ = lun;
  running_ = true;
  step_ = Step::kReady;
  repeats_ = 0;
  found_ = {};
  Issue();
}

void Probe::Issue() {
  scsi_task* task = nullptr;
  switch (step_) {
    case Step::kReady:
      task = iscsi_testunitready_task(iscsi_, lun_, &Probe::Answered, this);
      break;
    case Step::kIdentity:
      task = iscsi_inquiry_task(iscsi_, lun_, 1, SCSI_INQUIRY_PAGECODE_DEVICE_IDENTIFICATION, kVpdSize,
                                &Probe::Answered, this);
      break;
    case Step::kCapacity:
      task = iscsi_readcapacity16_task(iscsi_, lun_, &Probe::Answered, this);
      break;
    case Step::kLimits:
      task = iscsi_inquiry_task(iscsi_, lun_, 1, SCSI_INQUIRY_PAGECODE_BLOCK_LIMITS, kVpdSize, &Probe::Answered, this);
      break;
    case Step::kProvisioning:
      task = iscsi_inquiry_task(iscsi_, lun_, 1, SCSI_INQUIRY_PAGECODE_LOGICAL_BLOCK_PROVISIONING, kVpdSize,
                                &Probe::Answered, this);
      break;
  }
  if (task == nullptr) {
    Finish(absl::UnavailableError(absl::StrCat("cannot ask the LUN: ", iscsi_get_error(iscsi_))));
  }
}

void Probe::Answered(iscsi_context* /*iscsi*/, int status, void* data, void* self) {
  const std::unique_ptr<scsi_task, FreeTask> task(static_cast<scsi_task*>(data));
  static_cast<Probe*>(self)->OnAnswer(status, task.get());
}

void Probe::OnAnswer(int status, scsi_task* task) {
  const ScsiAnswer answer{status, static_cast<uint8_t>(task->sense.key), static_cast<uint16_t>(task->sense.ascq)};
  const Judgement judgement = Judge(answer, false);
  switch (judgement.remedy) {
    case Remedy::kNone:
      break;
    case Remedy::kAgain:
    case Remedy::kCheckAndAgain:
    case Remedy::kLater:
      if (++repeats_ > kMaxRepeats) {
        return Finish(absl::UnavailableError(absl::StrCat("the LUN does not become ready: ", Describe(answer))));
      }
      return Issue();
    default:
      // Block limits and provisioning are optional pages (SBC-3); without them the defaults hold.
      if (judgement.remedy == Remedy::kUnsupported && (step_ == Step::kLimits || step_ == Step::kProvisioning)) {
        task = nullptr;
        break;
      }
      return Finish(absl::UnavailableError(absl::StrCat("the LUN does not say what it is: ", Describe(answer))));
  }
  const absl::Status taken = Take(task);
  if (!taken.ok()) return Finish(taken);
  if (step_ == Step::kProvisioning) return Finish(std::move(found_));
  step_ = static_cast<Step>(static_cast<int>(step_) + 1);
  Issue();
}

absl::Status Probe::Take(scsi_task* task) {
  ZeroLimits& zero = found_.zero;
  void* page = task == nullptr ? nullptr : scsi_datain_unmarshall(task);
  switch (step_) {
    case Step::kReady:
      break;
    case Step::kIdentity:
      if (page != nullptr) found_.identity = IdentityOf(*static_cast<scsi_inquiry_device_identification*>(page));
      if (found_.identity.empty()) return absl::InternalError("the LUN has no designator of its own in VPD 0x83");
      break;
    case Step::kCapacity: {
      if (page == nullptr) return absl::InternalError("the LUN's answer to READ CAPACITY (16) cannot be read");
      const auto& capacity = *static_cast<scsi_readcapacity16*>(page);
      found_.block_size = capacity.block_length;
      found_.blocks = capacity.returned_lba + 1;
      if (!std::has_single_bit(found_.block_size) || found_.block_size < 512 || found_.block_size > 4096) {
        return absl::InternalError(absl::StrCat("the LUN's block size ", found_.block_size, " is not 512 to 4096"));
      }
      zero.block_size = found_.block_size;
      zero.unmap = capacity.lbpme != 0 && capacity.lbprz != 0;
      // The defaults of a LUN without VPD 0xB0.
      zero.granule = kDefaultGranule;
      zero.max_unmap = kUnmapMost;
      zero.max_write_same = kWriteSameMost;
      found_.max_transfer = kMaxTransfer;
      break;
    }
    case Step::kLimits: {
      if (page == nullptr) break;
      const auto& limits = *static_cast<scsi_inquiry_block_limits*>(page);
      const uint64_t block = found_.block_size;
      if (limits.max_xfer_len != 0) found_.max_transfer = std::min(limits.max_xfer_len * block, found_.max_transfer);
      if (limits.opt_unmap_gran != 0) zero.granule = limits.opt_unmap_gran * block;
      if (limits.ugavalid != 0) zero.granule_offset = limits.unmap_gran_align * block;
      if (limits.max_unmap != 0) zero.max_unmap = std::min(limits.max_unmap * block, kUnmapMost);
      if (limits.max_ws_len != 0) zero.max_write_same = std::min(limits.max_ws_len * block, kWriteSameMost);
      break;
    }
    case Step::kProvisioning:
      if (page == nullptr) {
        zero.unmap = false;
      } else {
        zero.unmap = zero.unmap && static_cast<scsi_inquiry_logical_block_provisioning*>(page)->lbpu != 0;
      }
      break;
  }
  return absl::OkStatus();
}

void Probe::Finish(absl::StatusOr<Geometry> result) {
  running_ = false;
  done_(std::move(result));
}

}  // namespace flocker::lun
