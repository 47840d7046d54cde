// The lab's own promises, each on one machine.
#include "lab/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "lab/lab.h"
#include "tests/harness/scratch.h"
#include "tests/harness/wait.h"

namespace flocker::lab {
namespace {

class MachineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto lab = Lab::Create(scratch_ / "lab", FLOCKER_BIN_DIR);
    ASSERT_TRUE(lab.ok()) << lab.status();
    lab_ = *std::move(lab);
    auto machine = lab_->Add({.name = "solo"}, {{.name = "net", .addresses = {"10.77.1.1/24"}}});
    ASSERT_TRUE(machine.ok()) << machine.status();
    machine_ = *machine;
    Boot();
  }

  void Boot() {
    const absl::Time start = absl::Now();
    const absl::Status booted = machine_->Boot();
    ASSERT_TRUE(booted.ok()) << booted;
    const absl::Status ready = machine_->WaitReady();
    ASSERT_TRUE(ready.ok()) << ready;
    std::cout << "booted (" << lab_->image().accelerator << ") in " << absl::Now() - start << std::endl;
  }

  std::string Run(const std::string& command) {
    const auto result = machine_->guest().Run(command);
    if (!result.ok()) return std::string(result.status().message());
    EXPECT_EQ(result->exit_code, 0) << command << ": " << result->output;
    return result->output;
  }

  flocker::testing::ScratchDir scratch_;
  std::unique_ptr<Lab> lab_;
  Machine* machine_ = nullptr;
};

TEST_F(MachineTest, ACommandsExitCodeAndOutputComeBackAndItsTimeIsLimited) {
  const auto failed = machine_->guest().Run("echo out; echo err >&2; exit 7");
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_EQ(failed->exit_code, 7);
  EXPECT_EQ(failed->output, "out\nerr\n");
  const auto late = machine_->guest().Run("read -r </dev/hwrng; sleep 1000", absl::Seconds(1));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_EQ(late->exit_code, 124);

  std::string content(3'000'000, 'x');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 256);
  ASSERT_TRUE(machine_->guest().Push("/data/pushed", content).ok());
  const auto pulled = machine_->guest().Pull("/data/pushed");
  ASSERT_TRUE(pulled.ok()) << pulled.status();
  EXPECT_TRUE(*pulled == content);
}

TEST_F(MachineTest, WhatTheBinariesLinkWithIsInTheImage) {
  EXPECT_EQ(Run("ldd /opt/lab/bin/* | awk '/not found/' | sort -u"), "")
      << "add the library's package to lab/guest/packages.txt";
}

TEST_F(MachineTest, APowerCutLosesWhatWasNotSyncedAndKeepsWhatWas) {
  Run("cd /data && echo kept >synced && sync synced . && echo lost >unsynced");
  // As far as the kernel is concerned it is on the disk: only a flush was never asked for.
  Run("dd if=/dev/zero bs=4k count=1 of=/data/raw conv=fsync status=none");
  Run("dd if=/dev/urandom bs=4k count=1 of=/data/raw oflag=direct conv=notrunc status=none");
  machine_->PowerCut();
  EXPECT_FALSE(machine_->running());
  Boot();
  EXPECT_EQ(Run("cat /data/synced"), "kept\n");
  EXPECT_EQ(Run("cat /data/unsynced 2>/dev/null || true"), "");
  EXPECT_EQ(Run("cmp -n 4096 /data/raw /dev/zero && echo lost"), "lost\n");
}

TEST_F(MachineTest, AShutdownLosesNothing) {
  Run("echo kept >/data/unsynced");
  const absl::Status down = machine_->Shutdown();
  ASSERT_TRUE(down.ok()) << down;
  Boot();
  EXPECT_EQ(Run("cat /data/unsynced"), "kept\n");
}

TEST_F(MachineTest, APausedMachineStandsStillAndGoesOnWhereItWas) {
  Run("setsid bash -c 'n=0; while :; do echo $((++n)) >/run/n.new; mv /run/n.new /run/n; done' </dev/null >/dev/null "
      "2>&1 &");
  EXPECT_TRUE(flocker::testing::Eventually(absl::Seconds(20), [&] { return Run("cat /run/n || true") > "0"; }));
  const absl::Status paused = machine_->Pause();
  ASSERT_TRUE(paused.ok()) << paused;
  EXPECT_FALSE(machine_->guest().WaitReady(absl::Now() + absl::Seconds(1)).ok());
  ASSERT_TRUE(machine_->Resume().ok());
  const std::string then = Run("cat /run/n");
  EXPECT_TRUE(flocker::testing::Eventually(absl::Seconds(20), [&] { return Run("cat /run/n") != then; }));
}

}  // namespace
}  // namespace flocker::lab
