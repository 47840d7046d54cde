#include "engine/lun/sense.h"

#include <gtest/gtest.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <cerrno>

namespace flocker::lun {
namespace {

Judgement Sense(uint8_t key, int ascq, bool writes = true) {
  return Judge({SCSI_STATUS_CHECK_CONDITION, key, static_cast<uint16_t>(ascq)}, writes);
}

TEST(Sense, AMediumErrorHoldsAWriteAndFailsARead) {
  EXPECT_EQ(Sense(3, 0x0c00, true).remedy, Remedy::kHold);
  EXPECT_EQ(Sense(3, 0x1100, false).remedy, Remedy::kFail);
  EXPECT_EQ(Sense(3, 0x1100, false).error, EIO);
}

TEST(Sense, DataProtectIsAFullPoolOrWriteProtection) {
  EXPECT_EQ(Sense(7, 0x2707).remedy, Remedy::kHold);
  EXPECT_EQ(Sense(7, 0x2707).error, ENOSPC);
  EXPECT_EQ(Sense(7, 0x2707, false).remedy, Remedy::kFail) << "a flush that is asked again would succeed";
  EXPECT_EQ(Sense(7, 0x2707, false).error, EIO);
  EXPECT_EQ(Sense(7, 0x2700).remedy, Remedy::kFail);
  EXPECT_EQ(Sense(7, 0x2700).error, EROFS);
}

TEST(Sense, AUnitAttentionThatMayMeanAnotherLunIsChecked) {
  for (const int ascq : {0x2900, 0x2903, 0x3f03, 0x3f0e, 0x2a09}) {
    EXPECT_EQ(Sense(6, ascq).remedy, Remedy::kCheckAndAgain) << std::hex << ascq;
  }
  for (const int ascq : {0x2a01, 0x2a03, 0x3807}) EXPECT_EQ(Sense(6, ascq).remedy, Remedy::kAgain) << std::hex << ascq;
}

TEST(Sense, AnUnansweredCommandOrForeignReservationEndsTheSession) {
  for (const int status : {SCSI_STATUS_CANCELLED, SCSI_STATUS_ERROR, SCSI_STATUS_TIMEOUT}) {
    EXPECT_EQ(Judge({status}, true).remedy, Remedy::kCut);
    EXPECT_EQ(Judge({status}, true).loss, Loss::kConnection);
  }
  EXPECT_EQ(Judge({SCSI_STATUS_RESERVATION_CONFLICT}, true).loss, Loss::kReservation);
  EXPECT_EQ(Sense(5, 0x2500).remedy, Remedy::kCut);
}

TEST(Sense, BusyIsTriedLater) {
  EXPECT_EQ(Judge({SCSI_STATUS_BUSY}, true).remedy, Remedy::kLater);
  EXPECT_EQ(Judge({SCSI_STATUS_TASK_SET_FULL}, true).remedy, Remedy::kLater);
  EXPECT_EQ(Sense(2, 0x0401).remedy, Remedy::kLater);
}

TEST(Sense, TheRest) {
  EXPECT_EQ(Judge({SCSI_STATUS_GOOD}, true).remedy, Remedy::kNone);
  EXPECT_EQ(Sense(1, 0x1700).remedy, Remedy::kNone);
  EXPECT_EQ(Sense(4, 0x4400).error, EIO);
  EXPECT_EQ(Sense(5, 0x2000).remedy, Remedy::kUnsupported);
  EXPECT_EQ(Sense(5, 0x2100, true).error, ENOSPC);
  EXPECT_EQ(Sense(5, 0x2100, false).error, EIO);
  EXPECT_EQ(Describe({SCSI_STATUS_CHECK_CONDITION, 3, 0x0c00}), "CHECK CONDITION, MEDIUM ERROR 03/0c00");
}

}  // namespace
}  // namespace flocker::lun
