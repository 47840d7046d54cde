#include "tests/lab/cluster/scenario.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "tests/harness/wait.h"

namespace flocker::lab {
namespace {

std::string FailuresDir() {
  const char* named = std::getenv("FLOCKER_LAB_FAILURES");
  return named != nullptr ? named : "/tmp/flocker-lab-failures";
}

}  // namespace

std::unique_ptr<flocker::testing::ScratchDir> Scenario::scratch_;
std::unique_ptr<Cluster> Scenario::cluster_;
ClusterOptions Scenario::running_;

// The cluster is shared: it goes when the last scenario has.
class Scenario::LastToLeave : public ::testing::Environment {
 public:
  void TearDown() override {
    cluster_.reset();
    scratch_.reset();
  }
};
const ::testing::Environment* const Scenario::last_to_leave_ = ::testing::AddGlobalTestEnvironment(new LastToLeave);

void Scenario::SetUp() {
  dataset_ = absl::StrCat("s", absl::ToUnixSeconds(absl::Now()));
  if (cluster_ && running_ == options_) {
    ASSERT_TRUE(lab().Heal().ok());
  } else {
    cluster_.reset();
    scratch_ = std::make_unique<flocker::testing::ScratchDir>();
    auto created = Cluster::Create(*scratch_ / "lab", FLOCKER_BIN_DIR, options_);
    ASSERT_TRUE(created.ok()) << created.status();
    cluster_ = *std::move(created);
    running_ = options_;
  }
  const absl::Time start = absl::Now();
  const absl::Status whole = cluster_->Boot(absl::Minutes(4));
  ASSERT_TRUE(whole.ok()) << whole;
  Report("cluster whole", absl::Now() - start);
}

void Scenario::TearDown() {
  if (!cluster_ || dataset_.empty()) return;  // skipped
  const auto events = cluster_->Ctl(absl::StrCat("events | grep -F ", dataset_));
  std::cout << "-- time line of " << dataset_ << "\n"
            << (events.ok() ? events->output : events.status().ToString()) << report_ << std::flush;
  if (!HasFailure()) return;
  KeepEvidence();
  cluster_.reset();
}

void Scenario::KeepEvidence() {
  const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string dir =
      absl::StrCat(FailuresDir(), "/", test->name(), ".", absl::FormatTime("%H%M%S", absl::Now(), absl::UTCTimeZone()));
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  std::filesystem::copy(lab().dir() + "/switch.log", dir, error);
  for (Machine* machine : lab().machines()) {
    const std::string place = absl::StrCat(dir, "/", machine->name(), ".");
    std::filesystem::copy(machine->dir() + "/console.log", place + "console.log", error);
    std::filesystem::copy(machine->dir() + "/qemu.log", place + "qemu.log", error);
    if (!machine->running()) continue;
    const auto logs = machine->guest().Run(
        "tail -n +1 /data/log/*.log; echo; echo == dmesg; dmesg | tail -n 200; echo == mounts; cat /proc/mounts; echo "
        "== "
        "processes; ps ax -o pid,stat,wchan:20,args | grep -v '\\[.*\\]$'",
        absl::Seconds(20));
    std::ofstream(place + "logs") << (logs.ok() ? logs->output : logs.status().ToString());
  }
  std::cout << "-- kept in " << dir << std::endl;
}

std::string Scenario::Run(Machine& machine, const std::string& command, absl::Duration timeout) {
  const auto result = machine.guest().Run(command, timeout);
  if (!result.ok()) {
    ADD_FAILURE() << machine.name() << ": " << command << ": " << result.status();
    return "";
  }
  EXPECT_EQ(result->exit_code, 0) << machine.name() << ": " << command << ": " << result->output;
  return result->output;
}

bool Scenario::Succeeds(Machine& machine, const std::string& command, absl::Duration timeout) {
  const auto result = machine.guest().Run(command, timeout);
  return result.ok() && result->exit_code == 0;
}

void Scenario::Until(Machine& machine, const std::string& command, absl::Duration timeout) {
  std::string last;
  EXPECT_TRUE(flocker::testing::Eventually(timeout,
                                           [&] {
                                             const auto result = machine.guest().Run(command, timeout);
                                             last = result.ok() ? result->output : result.status().ToString();
                                             return result.ok() && result->exit_code == 0;
                                           }))
      << machine.name() << ": " << command << ": " << last;
}

void Scenario::Create(int number) {
  const absl::Time start = absl::Now();
  Run(node(number), absl::StrCat("mkdir ", Path(number), " && ls ", Path(number)));
  Report("create", absl::Now() - start);
}

void Scenario::Move(Machine& by, int from, int to) {
  const absl::Time start = absl::Now();
  const auto moved = by.guest().Run(absl::StrCat("mv ", Path(from), " /flocker/node", to, "/"), absl::Minutes(2));
  ASSERT_TRUE(moved.ok()) << moved.status();
  std::cout << "mv on " << by.name() << ": exit " << moved->exit_code << " " << moved->output << std::endl;
  // EINPROGRESS is no refusal: it goes on.
  Until(node(to), absl::StrCat("ls ", Path(to)), absl::Minutes(2));
  Report("move", absl::Now() - start);
}

void Scenario::FailOver(RecordWriter& first, RecordWriter& second, Records& records) {
  ASSERT_TRUE(first.Start());
  ASSERT_TRUE(first.WaitFor(20, absl::Minutes(1)));
  const int acknowledged = first.Acknowledged();
  const absl::Time cut = absl::Now();
  node(1).PowerCut();
  Move(node(2), 1, 2);
  ASSERT_TRUE(second.Start());
  Report("failover, from the power cut to the first record on the other node", absl::Now() - cut);
  second.End();
  records = ReadRecords(node(2), Path(2) + "/records");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_GE(records[0].second, acknowledged);
}

void Scenario::Report(const std::string& what, absl::Duration took) {
  absl::StrAppend(&report_, "-- ", what, ": ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(10))), "\n");
}

}  // namespace flocker::lab
