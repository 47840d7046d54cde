#include "engine/lun/sense.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <cerrno>

#include "absl/strings/str_format.h"

namespace flocker::lun {
namespace {

// SPC-4 annex F; those libiscsi has no name for.
constexpr uint16_t kSpaceAllocationFailed = 0x2707;
constexpr uint8_t kAscReset = 0x29;                // power on, reset, nexus loss: whatever is there now may be another
constexpr uint8_t kAscOperatingConditions = 0x3f;  // inquiry data, reported LUNs, device identifier changed
constexpr uint8_t kAscLunNotSupported = 0x25;

Judgement JudgeSense(const ScsiAnswer& answer, bool writes) {
  const auto asc = static_cast<uint8_t>(answer.ascq >> 8);
  switch (answer.key) {
    case SCSI_SENSE_RECOVERED_ERROR:
      return {};
    case SCSI_SENSE_NOT_READY:
      return {Remedy::kLater, EIO};
    case SCSI_SENSE_MEDIUM_ERROR:
      // tgt answers every failed write so, also ENOSPC of its backing file (tgt's usr/bs_rdwr.c).
      return {writes ? Remedy::kHold : Remedy::kFail, EIO};
    case SCSI_SENSE_ILLEGAL_REQUEST:
      if (asc == kAscLunNotSupported) return {Remedy::kCut, EIO, Loss::kProtocol};  // deleted under our session
      if (answer.ascq == SCSI_SENSE_ASCQ_LBA_OUT_OF_RANGE) return {Remedy::kFail, writes ? ENOSPC : EIO};
      return {Remedy::kUnsupported, EOPNOTSUPP};
    case SCSI_SENSE_UNIT_ATTENTION:
      if (asc == kAscReset || asc == kAscOperatingConditions ||
          answer.ascq == SCSI_SENSE_ASCQ_CAPACITY_DATA_HAS_CHANGED) {
        return {Remedy::kCheckAndAgain, EIO};
      }
      return {Remedy::kAgain, EIO};
    case SCSI_SENSE_DATA_PROTECTION:
      // Not a flush: what it reports is reported once, so the next one would succeed without the data.
      if (answer.ascq == kSpaceAllocationFailed)
        return writes ? Judgement{Remedy::kHold, ENOSPC} : Judgement{Remedy::kFail, EIO};
      return {Remedy::kFail, EROFS};
    case SCSI_SENSE_COMMAND_ABORTED:
      return {Remedy::kAgain, EIO};
    default:
      return {Remedy::kFail, EIO};
  }
}

const char* KeyName(uint8_t key) {
  switch (key) {
    case SCSI_SENSE_NOT_READY:
      return "NOT READY";
    case SCSI_SENSE_MEDIUM_ERROR:
      return "MEDIUM ERROR";
    case SCSI_SENSE_HARDWARE_ERROR:
      return "HARDWARE ERROR";
    case SCSI_SENSE_ILLEGAL_REQUEST:
      return "ILLEGAL REQUEST";
    case SCSI_SENSE_UNIT_ATTENTION:
      return "UNIT ATTENTION";
    case SCSI_SENSE_DATA_PROTECTION:
      return "DATA PROTECT";
    case SCSI_SENSE_COMMAND_ABORTED:
      return "ABORTED COMMAND";
    default:
      return "sense key";
  }
}

}  // namespace

Judgement Judge(const ScsiAnswer& answer, bool writes) {
  switch (answer.status) {
    case SCSI_STATUS_GOOD:
    case SCSI_STATUS_CONDITION_MET:
      return {};
    case SCSI_STATUS_CHECK_CONDITION:
      return JudgeSense(answer, writes);
    case SCSI_STATUS_BUSY:
    case SCSI_STATUS_TASK_SET_FULL:
      return {Remedy::kLater, EIO};
    case SCSI_STATUS_TASK_ABORTED:
      return {Remedy::kAgain, EIO};
    case SCSI_STATUS_RESERVATION_CONFLICT:
      // We hold no reservation, so somebody else does. Who may write is control's decision, not ours.
      return {Remedy::kCut, EIO, Loss::kReservation};
    case SCSI_STATUS_CANCELLED:
    case SCSI_STATUS_ERROR:
    case SCSI_STATUS_TIMEOUT:
      return {Remedy::kCut, EIO, Loss::kConnection};
    default:
      return {Remedy::kCut, EIO, Loss::kProtocol};
  }
}

std::string Describe(const ScsiAnswer& answer) {
  switch (answer.status) {
    case SCSI_STATUS_CHECK_CONDITION:
      return absl::StrFormat("CHECK CONDITION, %s %02x/%04x", KeyName(answer.key), answer.key, answer.ascq);
    case SCSI_STATUS_BUSY:
      return "BUSY";
    case SCSI_STATUS_TASK_SET_FULL:
      return "TASK SET FULL";
    case SCSI_STATUS_RESERVATION_CONFLICT:
      return "RESERVATION CONFLICT";
    case SCSI_STATUS_CANCELLED:
      return "cancelled with its session";
    default:
      return absl::StrFormat("SCSI status %#x", answer.status);
  }
}

}  // namespace flocker::lun
