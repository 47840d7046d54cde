// Whatever a power cut at the array leaves behind is a filesystem that holds all that fsync acknowledged: shown for the
// images that the LUN server's write log allows (engine/lun/write_log.h), with the LUN server killed in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "lun_victim.h"
#include "replayed_image.h"
#include "synced_writer.h"
#include "tests/harness/cluster.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

constexpr uint64_t kSize = uint64_t{64} << 20;
constexpr int kKills = 5;
constexpr int kWriters = 4;
constexpr absl::Duration kBetweenKills = absl::Seconds(1);
constexpr size_t kFewestCuts = 40;
constexpr size_t kMostCuts = 100;
constexpr absl::Duration kReplayTime = absl::Seconds(60);

using Writers = std::vector<std::unique_ptr<SyncedWriter>>;

// OK when the image is a sound filesystem and holds every record acknowledged by the time the log was `length` bytes
// long. Changes the image.
absl::Status Judge(const ReplayedImage& image, const Writers& writers, uint64_t length) {
  RETURN_IF_ERROR(CheckFilesystem(image.path()));
  std::vector<std::string> names;
  for (const auto& writer : writers) names.push_back(writer->name());
  const std::string directory = std::filesystem::path(image.path()).parent_path();
  RETURN_IF_ERROR(ExtractFiles(image.path(), names, directory));
  for (const auto& writer : writers) {
    RETURN_IF_ERROR(writer->CheckRecords(absl::StrCat(directory, "/", writer->name()), writer->AcknowledgedBy(length)));
  }
  return absl::OkStatus();
}

// The flushes after which the power is cut: all of them, or as many as may be, evenly spread, with the first and last.
std::vector<size_t> Cuts(const std::vector<size_t>& flushes) {
  if (flushes.size() <= kMostCuts) return flushes;
  std::vector<size_t> cuts;
  for (size_t i = 0; i < kMostCuts; ++i) cuts.push_back(flushes[i * (flushes.size() - 1) / (kMostCuts - 1)]);
  return cuts;
}

class WriteLog : public ::testing::Test {
 protected:
  WriteLog() : cluster_({.nodes = {"alpha"}}), watchdog_(cluster_.dir(), absl::Minutes(3)) {
    setenv("FLOCKER_WRITE_LOG_DIR", cluster_.dir().c_str(), 1);
  }
  ~WriteLog() override {
    for (const auto& writer : writers_) writer->Stop().IgnoreError();
    unsetenv("FLOCKER_WRITE_LOG_DIR");
  }

  void Create() {
    ASSERT_TRUE(cluster_.Start().ok());
    const CommandResult created = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "64M"});
    ASSERT_EQ(created.exit_code, 0) << created.output;
    ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return !cluster_.NativePath("alpha", "db").empty(); }))
        << cluster_.Why("db");
    native_ = cluster_.NativePath("alpha", "db");
    id_ = cluster_.Id("db");
    log_ = absl::StrCat(cluster_.dir(), "/", id_, ".writes");
    std::error_code none;
    formatted_ = std::filesystem::file_size(log_, none);
    ASSERT_FALSE(none) << log_ << ": was flocker-lun built with FLOCKER_FAULTS?";
  }

  // Writers write while the LUN server is killed, files come and go, and what is free is discarded.
  void Write() {
    for (int i = 0; i < kWriters; ++i) {
      writers_.push_back(std::make_unique<SyncedWriter>(native_, absl::StrCat("records", i), log_));
    }
    const LunVictim victim(id_, cluster_.dir());
    pid_t last = -1;
    for (int kills = 0; kills < kKills; ++kills) {
      const absl::Time due = absl::Now() + kBetweenKills;
      while (absl::Now() < due) Churn();
      ASSERT_TRUE(Eventually(absl::Seconds(30),
                             [&] {
                               const pid_t pid = victim.Kill(last);
                               if (pid > 0) last = pid;
                               return pid > 0;
                             }))
          << "no successor of " << last;
    }
    for (const auto& writer : writers_) {
      const uint64_t before = writer->acknowledged();
      ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return writer->acknowledged() > before + 10; }));
    }
    for (const auto& writer : writers_) {
      const absl::Status stopped = writer->Stop();
      ASSERT_TRUE(stopped.ok()) << stopped;
    }
  }

  void Churn() {
    const std::string passing = native_ + "/passing";
    ASSERT_EQ(WriteFile(passing, std::string(200'000, 'p')), 0);
    ASSERT_EQ(Rename(passing, native_ + "/passed"), 0);
    std::filesystem::remove(native_ + "/passed");
    const auto trimmed = RunCommand({"fstrim", native_}, absl::Seconds(60));
    ASSERT_TRUE(trimmed.ok() && trimmed->exit_code == 0) << trimmed->output;
  }

  // A cut after each of these flushes, at the last moment before the next one is done, for the most, the least, and a
  // random part of what may be on the medium: what was acknowledged by then has no other flush to rely on.
  void CutAfter(const WriteLogReader& log, const std::vector<size_t>& cuts) {
    auto most = ReplayedImage::Make(cluster_.dir() + "/most", kSize);
    auto least = ReplayedImage::Make(cluster_.dir() + "/least", kSize);
    ASSERT_TRUE(most.ok() && least.ok());
    const std::vector<size_t> flushes = log.Flushes();
    std::mt19937 random(1);
    const absl::Time start = absl::Now();
    size_t done = 0;
    uint64_t uncertain = 0;
    for (const size_t cut : cuts) {
      // The first and a spread come before the time is over; the last is done in any case.
      if (absl::Now() - start > kReplayTime && cut != cuts.back()) continue;
      const size_t certain = log.Certain(cut);
      const auto next = std::upper_bound(flushes.begin(), flushes.end(), cut);
      const uint64_t by = next == flushes.end() ? UINT64_MAX : log.deeds()[*next].end - 1;
      ASSERT_TRUE(most->ApplyUntil(log, cut + 1).ok() && least->ApplyUntil(log, certain).ok());
      auto some = least->CopyTo(cluster_.dir() + "/some");
      ASSERT_TRUE(some.ok()) << some.status();
      for (size_t i = certain; i < cut; ++i) {
        if (random() % 2 != 0) continue;
        ASSERT_TRUE(some->Apply(log, log.deeds()[i]).ok());
      }
      uncertain += cut - certain;
      auto all = most->CopyTo(cluster_.dir() + "/all");
      auto bare = least->CopyTo(cluster_.dir() + "/bare");
      ASSERT_TRUE(all.ok() && bare.ok());
      for (const ReplayedImage* image : {&*all, &*bare, &*some}) {
        const absl::Status judged = Judge(*image, writers_, by);
        ASSERT_TRUE(judged.ok()) << "cut after deed " << cut << ", of which " << certain
                                 << " are certain: " << image->path() << ": " << judged;
      }
      ++done;
    }
    std::cerr << "cut " << done << " of " << log.Flushes().size() << " flushes, 3 images each, in "
              << absl::FormatDuration(absl::Now() - start) << "; " << uncertain << " deeds were uncertain at theirs\n";
    EXPECT_GE(done, std::min(cuts.size(), kFewestCuts));
  }

  TestCluster cluster_;
  const Watchdog watchdog_;
  std::string native_;
  std::string id_;
  std::string log_;
  uint64_t formatted_ = 0;  // the log's length when the dataset was ready
  Writers writers_;
};

TEST_F(WriteLog, EveryFlushLeavesAFilesystemWithAllThatFsyncAcknowledged) {
  ASSERT_NO_FATAL_FAILURE(Create());
  ASSERT_NO_FATAL_FAILURE(Write());
  uint64_t acknowledged = 0;
  for (const auto& writer : writers_) acknowledged += writer->acknowledged();
  const auto log = WriteLogReader::Open(log_);
  ASSERT_TRUE(log.ok()) << log.status();
  std::vector<size_t> flushes = log->Flushes();
  std::erase_if(flushes, [&](size_t flush) { return log->deeds()[flush].end < formatted_; });  // mkfs's own
  std::cerr << acknowledged << " records acknowledged, " << log->deeds().size() << " deeds logged\n";
  ASSERT_GE(flushes.size(), kFewestCuts);
  ASSERT_NO_FATAL_FAILURE(CutAfter(*log, Cuts(flushes)));

  // And were one write missing, it would be noticed: the last one with a record that had to be there.
  const size_t last = flushes.back();
  const SyncedWriter& writer = *writers_.front();
  const size_t wanted = writer.AcknowledgedBy(log->deeds()[last].end);
  ASSERT_GT(wanted, 0u);
  size_t missing = last;
  while (missing > 0) {
    --missing;
    if (log->deeds()[missing].record.deed != lun::Deed::kWrite) continue;
    const auto data = log->Data(log->deeds()[missing]);
    ASSERT_TRUE(data.ok()) << data.status();
    if (absl::StrContains(*data, writer.Record(wanted - 1))) break;
  }
  auto image = ReplayedImage::Make(cluster_.dir() + "/gap", kSize);
  ASSERT_TRUE(image.ok());
  for (size_t i = 0; i <= last; ++i) {
    if (i == missing) continue;
    ASSERT_TRUE(image->Apply(*log, log->deeds()[i]).ok());
  }
  EXPECT_TRUE(absl::IsDataLoss(Judge(*image, writers_, log->deeds()[last].end)));

  // Nothing but the deeds in the log has changed the LUN: all of them make the array's own image of it.
  const std::string backing = cluster_.BackingFile("db");
  const int removed = RemoveDir(cluster_.Path("alpha", "db"));
  ASSERT_TRUE(removed == 0 || removed == EINPROGRESS) << removed << cluster_.Why("db");
  ASSERT_TRUE(Eventually(absl::Minutes(1), [&] { return !cluster_.Find("db").has_value(); })) << cluster_.Why("db");
  const auto whole = WriteLogReader::Open(log_);
  auto replayed = ReplayedImage::Make(cluster_.dir() + "/whole", kSize);
  ASSERT_TRUE(whole.ok() && replayed.ok());
  ASSERT_TRUE(replayed->ApplyUntil(*whole, whole->deeds().size()).ok());
  const auto compared = RunCommand({"cmp", replayed->path(), backing}, absl::Minutes(1));
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_EQ(compared->exit_code, 0) << compared->output;
}

}  // namespace
}  // namespace flocker::testing
