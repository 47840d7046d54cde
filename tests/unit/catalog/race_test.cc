// Readers beside a writer that changes things, grows, is replaced, and is killed.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/catalog/reader.h"
#include "engine/catalog/writer.h"
#include "tests/harness/scratch.h"
#include "tests/unit/catalog/entries.h"

namespace flocker {
namespace {

using testing::MakeChange;
using testing::MakeDataset;
using testing::MakeId;
using testing::MakeNode;

// Datasets 0..kCount-1 always exist and always carry one stamp, all of them; with it goes the node that shows them.
constexpr uint32_t kCount = 40;
constexpr uint32_t kNodes = 3;

uint32_t NodeOf(uint64_t stamp) { return 1 + static_cast<uint32_t>(stamp % kNodes); }

CatalogChange Stamp(uint64_t stamp) { return MakeChange(kCount, NodeOf(stamp), stamp); }

// One of them alone would be seen torn from the rest, so each change is all of them; these others come and go, so that
// the file grows.
CatalogChange Ballast(bool there) {
  CatalogChange change;
  for (uint32_t i = 1000; i < 4000; ++i) {
    if (there) {
      change.datasets.push_back(MakeDataset(i, 9, 2));
    } else {
      change.gone_datasets.push_back(MakeId(i));
    }
  }
  return change;
}

// What every single look must find, whatever the writer is doing or not doing any more.
class Observer {
 public:
  explicit Observer(const std::string& path) : reader_(CatalogReader::Open(path).value()) {}

  void Look(uint32_t seed) {
    const uint32_t which = seed % kCount;
    const auto dataset = reader_->FindById(MakeId(which));
    ASSERT_TRUE(dataset.has_value()) << reader_->Health();
    ASSERT_EQ(*dataset, MakeDataset(which, NodeOf(dataset->epoch), dataset->epoch));
    // A list shows all of one stamp or, when the stamp moved them elsewhere, none.
    const auto list = reader_->List(MakeNode(1 + seed % kNodes).id);
    ASSERT_TRUE(list.empty() || list.size() == kCount) << list.size();
    absl::flat_hash_set<std::string> ids;
    for (const CatalogDataset& shown : list) {
      ASSERT_EQ(shown.epoch, list[0].epoch);
      ASSERT_TRUE(ids.insert(shown.id.str()).second);
    }
    const uint64_t version = reader_->version();
    ASSERT_GE(version, version_);
    version_ = version;
    ++looks_;
  }

  uint64_t looks() const { return looks_; }
  uint64_t version() const { return version_; }

 private:
  std::unique_ptr<CatalogReader> reader_;
  uint64_t version_ = 0;
  uint64_t looks_ = 0;
};

TEST(CatalogRace, ThreadsNeverSeeATornOrMissingDataset) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "catalog";
  auto writer = CatalogWriter::Open(path, MakeNode(1)).value();
  ASSERT_TRUE(writer->Publish(Stamp(1)).ok());
  const auto shared = CatalogReader::Open(path).value();
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Observer observer(path);
      std::minstd_rand random(t + 1);
      while (!done && !::testing::Test::HasFailure()) {
        observer.Look(static_cast<uint32_t>(random()));
        // The one all threads use, remapped by whichever comes first.
        const auto dataset = shared->FindById(MakeId(t));
        ASSERT_TRUE(dataset.has_value());
        ASSERT_EQ(*dataset, MakeDataset(t, NodeOf(dataset->epoch), dataset->epoch));
      }
      EXPECT_GT(observer.looks(), 100U);
    });
  }
  const absl::Time end = absl::Now() + absl::Seconds(3);
  for (uint64_t stamp = 2; absl::Now() < end; ++stamp) {
    EXPECT_TRUE(writer->Publish(Stamp(stamp)).ok());
    if (stamp % 500 == 0) {
      EXPECT_TRUE(writer->Publish(Ballast(stamp % 1000 == 0)).ok());
    }
    if (stamp % 300 == 0) writer = CatalogWriter::Open(path, MakeNode(1)).value();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

// Lists until it is killed; exits when a list is not of one version.
[[noreturn]] void ListUntilKilled(const std::string& path, std::atomic<uint64_t>& lists) {
  const auto reader = CatalogReader::Open(path).value();
  while (true) {
    const auto list = reader->List(MakeNode(1).id);
    if (list.size() != 1000) _exit(1);
    for (const CatalogDataset& dataset : list) {
      if (dataset.epoch != list[0].epoch) _exit(2);
    }
    ++lists;
  }
}

// It is stopped in the middle of a list, nearly always, while all that it was reading is used for something else.
TEST(CatalogRace, AReaderThatIsOvertakenLooksAgain) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "catalog";
  const auto writer = CatalogWriter::Open(path, MakeNode(1)).value();
  const CatalogChange changes[] = {MakeChange(1000, 1, 1), MakeChange(1000, 1, 2)};
  ASSERT_TRUE(writer->Publish(changes[0]).ok());
  auto* lists = static_cast<std::atomic<uint64_t>*>(
      mmap(nullptr, sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(lists, MAP_FAILED);
  const pid_t child = fork();  // this process has no threads
  ASSERT_GE(child, 0);
  if (child == 0) ListUntilKilled(path, *lists);
  int status = 0;
  const absl::Time end = absl::Now() + absl::Seconds(5);
  for (uint32_t stop = 0; stop < 20 && absl::Now() < end; ++stop) {
    for (const uint64_t before = *lists; *lists < before + 2; sched_yield()) {
      ASSERT_EQ(waitpid(child, &status, WNOHANG), 0) << "the reader ended with " << WEXITSTATUS(status);
    }
    kill(child, SIGSTOP);
    ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
    ASSERT_TRUE(WIFSTOPPED(status)) << "the reader ended with " << WEXITSTATUS(status);
    for (uint32_t i = 1; i <= 11; ++i) EXPECT_TRUE(writer->Publish(changes[(stop + i) % 2]).ok());
    kill(child, SIGCONT);
  }
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the reader ended with " << WEXITSTATUS(status);
  munmap(lists, sizeof(std::atomic<uint64_t>));
}

// FLOCKER_RACE_SECONDS: how long each test that kills goes on; 5 unless set.
absl::Duration KillingTime() {
  const char* text = std::getenv("FLOCKER_RACE_SECONDS");
  int seconds = 0;
  return absl::Seconds(text != nullptr && absl::SimpleAtoi(text, &seconds) ? seconds : 5);
}

[[noreturn]] void WriteUntilKilled(const std::string& path, uint64_t stamp) {
  const auto writer = CatalogWriter::Open(path, MakeNode(1));
  if (!writer.ok()) _exit(1);
  for (bool ballast = false;; ballast = !ballast) {
    for (const uint64_t end = stamp + 50; stamp < end; ++stamp) {
      if (!(*writer)->Publish(Stamp(stamp)).ok()) _exit(2);
    }
    if (!(*writer)->Publish(Ballast(ballast)).ok()) _exit(3);
  }
}

TEST(CatalogRace, AWriterKilledAnywhereLeavesAWholeCatalogue) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "catalog";
  ASSERT_TRUE(CatalogWriter::Open(path, MakeNode(1)).value()->Publish(Stamp(1)).ok());
  Observer observer(path);
  std::minstd_rand random(7);
  int kills = 0;
  int kills_that_wrote = 0;
  const absl::Time end = absl::Now() + KillingTime();
  for (uint64_t stamp = 2; absl::Now() < end; stamp += 100'000) {
    const uint64_t before = observer.version();
    const pid_t child = fork();  // this process has no threads
    ASSERT_GE(child, 0);
    if (child == 0) WriteUntilKilled(path, stamp);
    const absl::Time until = absl::Now() + absl::Microseconds(random() % 30'000);
    do {
      observer.Look(static_cast<uint32_t>(random()));
    } while (absl::Now() < until && !HasFatalFailure());
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    for (int i = 0; i < 5 && !HasFatalFailure(); ++i) observer.Look(static_cast<uint32_t>(random()));
    Observer(path).Look(0);  // one that comes only now
    if (HasFatalFailure()) return;
    ++kills;
    kills_that_wrote += observer.version() > before;
  }
  std::printf("%d kills, %d of writers that had published, %lu looks\n", kills, kills_that_wrote, observer.looks());
  EXPECT_GT(kills_that_wrote, 2);
}

[[noreturn]] void LookUntilKilled(const std::string& path, uint32_t seed) {
  Observer observer(path);
  std::minstd_rand random(seed);
  while (true) {
    observer.Look(static_cast<uint32_t>(random()));
    if (::testing::Test::HasFatalFailure()) _exit(1);
  }
}

// Readers and the writer, each killed and replaced at moments of its own.
TEST(CatalogRace, WhoeverIsKilledBlocksNobody) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "catalog";
  ASSERT_TRUE(CatalogWriter::Open(path, MakeNode(1)).value()->Publish(Stamp(1)).ok());
  Observer observer(path);
  std::minstd_rand random(11);
  struct Victim {
    pid_t pid = -1;
    absl::Time dies;
  };
  std::vector<Victim> victims(4);  // the first writes, the others read
  uint64_t stamp = 2;
  int kills = 0;
  absl::Duration longest;
  uint64_t version = 0;
  int stalled = 0;
  const absl::Time end = absl::Now() + KillingTime();
  while (absl::Now() < end && !HasFatalFailure()) {
    for (size_t i = 0; i < victims.size(); ++i) {
      Victim& victim = victims[i];
      if (victim.pid > 0 && absl::Now() < victim.dies) continue;
      if (victim.pid > 0) {
        kill(victim.pid, SIGKILL);
        int status = 0;
        ASSERT_EQ(waitpid(victim.pid, &status, 0), victim.pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << (i == 0 ? "the writer" : "a reader") << " ended with "
                                         << WEXITSTATUS(status);
        ++kills;
        if (i == 0) {
          stalled = observer.version() > version ? 0 : stalled + 1;
          version = observer.version();
          ASSERT_LT(stalled, 50) << "no new writer gets anything published";
        }
      }
      stamp += 100'000;
      victim.pid = fork();  // this process has no threads
      ASSERT_GE(victim.pid, 0);
      if (victim.pid == 0 && i == 0) WriteUntilKilled(path, stamp);
      if (victim.pid == 0) LookUntilKilled(path, static_cast<uint32_t>(stamp));
      victim.dies = absl::Now() + absl::Microseconds(random() % 30'000);
    }
    const absl::Time start = absl::Now();
    observer.Look(static_cast<uint32_t>(random()));
    longest = std::max(longest, absl::Now() - start);
  }
  for (const Victim& victim : victims) {
    if (victim.pid <= 0) continue;
    kill(victim.pid, SIGKILL);
    waitpid(victim.pid, nullptr, 0);
  }
  std::printf("%d kills, %lu looks, the longest %s\n", kills, observer.looks(), absl::FormatDuration(longest).c_str());
  EXPECT_LT(longest, absl::Seconds(2));
}

}  // namespace
}  // namespace flocker
