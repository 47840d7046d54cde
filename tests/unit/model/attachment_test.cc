#include "engine/model/attachment.h"

#include <gtest/gtest.h>

#include <vector>

namespace flocker {
namespace {

Attachment Ordered() {
  Attachment a;
  a.mount_epoch = a.epoch = 3;
  return a;
}

// Runs steps, each done, until there is none or `last` was done.
std::vector<LocalStep> RunTo(Attachment& a, LocalStep last = LocalStep::kNone) {
  std::vector<LocalStep> steps;
  while (true) {
    const LocalStep step = NextLocalStep(a);
    if (step == LocalStep::kNone) return steps;
    steps.push_back(step);
    if (step == LocalStep::kStartLun) a.session_epoch = a.epoch;  // what the login tells
    a = AfterLocalStep(a, step, StepResult::kDone);
    if (step == last || step == LocalStep::kReportReleased || step == LocalStep::kDrop) return steps;
  }
}

Attachment Mounted() {
  Attachment a = OnAttachOrder(Ordered(), 3, true);
  RunTo(a);
  return a;
}

TEST(Attachment, AFreshOneWaitsForTheCommitBeforeItMounts) {
  Attachment a = Ordered();
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kStartLun, LocalStep::kAttachLoop, LocalStep::kFormat,
                                              LocalStep::kReportFormatted}));
  EXPECT_EQ(a.stage, Stage::kFormatted);
  a = OnAttachOrder(a, 3, true);
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kMount, LocalStep::kReportAttached, LocalStep::kGrow}));
}

TEST(Attachment, ARepeatedOrderIsReportedAgainAndLooksAtTheSizeAlone) {
  Attachment a = Mounted();
  a = OnAttachOrder(a, 3, true);
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kReportAttached, LocalStep::kGrow}));
}

TEST(Attachment, ARenewalIsReportedOnlyWhenLoggedInAgain) {
  Attachment a = OnAttachOrder(Mounted(), 4, true);
  EXPECT_EQ(NextLocalStep(a), LocalStep::kNone);
  a.session_epoch = 4;
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kReportAttached, LocalStep::kGrow}));
}

TEST(Attachment, ReleaseKeepsTheOrderOfTheContract) {
  Attachment a = OnReleaseOrder(Mounted(), 3);
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kSync, LocalStep::kGate, LocalStep::kScan, LocalStep::kUnmount,
                                              LocalStep::kProve, LocalStep::kDetachLoop, LocalStep::kStopLun,
                                              LocalStep::kReportReleased}));
}

TEST(Attachment, BusyAtTheGateOrInTheScanLeavesItMounted) {
  for (const LocalStep where : {LocalStep::kGate, LocalStep::kScan, LocalStep::kUnmount}) {
    Attachment a = OnReleaseOrder(Mounted(), 3);
    while (NextLocalStep(a) != where) a = AfterLocalStep(a, NextLocalStep(a), StepResult::kDone);
    a = AfterLocalStep(a, where, StepResult::kBusy);
    EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kReportBusy}));
    EXPECT_EQ(a.stage, Stage::kMounted);
    EXPECT_EQ(a.aim, Aim::kAttach);
  }
}

TEST(Attachment, AFailedProofMountsAgain) {
  Attachment a = OnReleaseOrder(Mounted(), 3);
  while (NextLocalStep(a) != LocalStep::kProve) a = AfterLocalStep(a, NextLocalStep(a), StepResult::kDone);
  EXPECT_NE(a.stage, Stage::kMounted);
  EXPECT_TRUE(MayBeBusy(a, LocalStep::kProve));
  a = AfterLocalStep(a, LocalStep::kProve, StepResult::kBusy);
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kRemount, LocalStep::kReportBusy}));
  EXPECT_EQ(a.stage, Stage::kMounted);
}

TEST(Attachment, OnlyUsersOfAFilesystemMakeItBusy) {
  Attachment a = OnReleaseOrder(Mounted(), 3);
  EXPECT_TRUE(MayBeBusy(a, LocalStep::kScan));
  EXPECT_FALSE(MayBeBusy(a, LocalStep::kSync));
  EXPECT_FALSE(MayBeBusy(a, LocalStep::kStopLun)) << "there is no loop left to mount it again from";
  Attachment blank = Ordered();
  RunTo(blank, LocalStep::kAttachLoop);
  EXPECT_FALSE(MayBeBusy(blank, LocalStep::kFormat));
  EXPECT_FALSE(MayBeBusy(OnReleaseOrder(blank, 3), LocalStep::kProve))
      << "control would count as attached what was never mounted";
}

TEST(Attachment, AReleaseInTheMiddleOfAnAttachUndoesWhatStands) {
  Attachment a = Ordered();
  RunTo(a, LocalStep::kAttachLoop);
  a = OnReleaseOrder(a, 3);
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kProve, LocalStep::kDetachLoop, LocalStep::kStopLun,
                                              LocalStep::kReportReleased}));
}

TEST(Attachment, AReleaseStopsALunServerThatNeverLoggedIn) {
  const Attachment a = AfterLocalStep(Ordered(), LocalStep::kStartLun, StepResult::kFailed);
  Attachment released = OnReleaseOrder(a, 3);
  EXPECT_EQ(RunTo(released), (std::vector<LocalStep>{LocalStep::kStopLun, LocalStep::kReportReleased}));
}

TEST(Attachment, AFailedReleaseBeginsAnew) {
  Attachment a = OnReleaseOrder(Mounted(), 3);
  RunTo(a, LocalStep::kScan);
  a = AfterLocalStep(a, LocalStep::kUnmount, StepResult::kFailed);
  EXPECT_EQ(NextLocalStep(a), LocalStep::kSync);
}

TEST(Attachment, ADropComesBeforeEverythingElse) {
  Attachment a = OnDropOrder(OnReleaseOrder(Mounted(), 3));
  EXPECT_EQ(RunTo(a), (std::vector<LocalStep>{LocalStep::kDrop}));
}

TEST(Adopt, TakesTheMachinesWordForHowFarItStands) {
  Attachment journaled = Ordered();
  journaled.formatted = true;
  EXPECT_EQ(Adopt(journaled, {.lun = true, .loop = true, .mounted = true}).stage, Stage::kMounted);
  EXPECT_EQ(Adopt(journaled, {.lun = true, .loop = true}).stage, Stage::kLooped);
  EXPECT_EQ(Adopt(journaled, {.lun = true}).stage, Stage::kServing);
  EXPECT_EQ(Adopt(journaled, {}).stage, Stage::kEmpty);
}

TEST(Adopt, ADeadLunServerUnderAMountIsDropped) {
  EXPECT_EQ(Adopt(Ordered(), {.loop = true, .mounted = true}).aim, Aim::kDrop);
}

TEST(Adopt, AnInterruptedReleaseIsAskedAgainByControl) {
  const Attachment releasing = OnReleaseOrder(Mounted(), 3);
  const Attachment adopted = Adopt(releasing, {.lun = true, .loop = true, .mounted = true});
  EXPECT_EQ(adopted.aim, Aim::kAttach);
  EXPECT_EQ(adopted.leave, Leave::kNotYet);
}

}  // namespace
}  // namespace flocker
