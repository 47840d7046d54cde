// flocker-fs is killed again and again while the tree is used: no hang, no wrong file, and no error but EIO for what
// cannot be done twice.
//   FLOCKER_TREE_SECONDS=600   how long each (15)
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "operated_file.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/two_paths.h"
#include "tests/harness/watchdog.h"

namespace flocker::testing {
namespace {

absl::Duration Length() {
  const char* text = std::getenv("FLOCKER_TREE_SECONDS");
  int seconds = 15;
  if (text != nullptr && !absl::SimpleAtoi(text, &seconds)) seconds = 15;
  return absl::Seconds(seconds);
}

// Kills the flocker-fs of alpha, lets its successor live for a while, kills that one, until it is destroyed.
class Killer {
 public:
  explicit Killer(const TestCluster& cluster) : cluster_(cluster), thread_([this] { Run(); }) {}
  ~Killer() { Stop(); }
  // How many it killed.
  int Stop() {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    if (thread_.joinable()) thread_.join();
    return kills_;
  }

 private:
  void Run() {
    std::mt19937_64 random(1);
    pid_t last = 0;
    while (true) {
      {
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(20 + random() % 400);
        MutexLock lock(mutex_);
        while (!stopping_ && changed_.WaitUntil(lock, until)) continue;
        if (stopping_) return;
      }
      const pid_t pid = cluster_.TreeDaemon("alpha");
      if (pid <= 0 || pid == last || kill(pid, SIGKILL) != 0) continue;
      last = pid;
      ++kills_;
    }
  }

  const TestCluster& cluster_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  int kills_ = 0;
  std::thread thread_;
};

class Takeover : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(SharedTwoPaths().ready());
    watchdog_.emplace(SharedTwoPaths().cluster().dir(), Length() + absl::Minutes(2));
    pair_ = SharedTwoPaths().MakePair();
    before_ = Mount();
    end_ = SteadyNow() + Length();
  }
  void TearDown() override { EXPECT_EQ(Mount(), before_) << "it is another mount"; }
  std::string Mount() const {
    struct statx about {};
    EXPECT_EQ(statx(AT_FDCWD, SharedTwoPaths().tree().c_str(), 0, STATX_INO | STATX_MNT_ID, &about), 0);
    return absl::StrCat(about.stx_dev_major, ":", about.stx_dev_minor, " ", about.stx_mnt_id);
  }
  bool Over() const { return SteadyNow() > end_; }

  std::optional<Watchdog> watchdog_;
  TwoPaths::Pair pair_;
  std::string before_;
  absl::Time end_;
};

TEST_F(Takeover, WhatMayBeDoneTwiceNeverFails) {
  std::mt19937_64 random(7);
  OperatedFile tree(pair_.tree + "/file");
  OperatedFile native(pair_.native + "/file");
  Killer killer(SharedTwoPaths().cluster());
  absl::Duration longest;
  int operations = 0;
  std::string history;
  for (; !Over(); ++operations) {
    const FileOperation op = FileOperation::Random(random);
    if (operations % 500 == 0) history.clear();
    absl::StrAppend(&history, op.Text(), "\n");
    const auto expected = native.Do(op);
    const absl::Time begun = SteadyNow();
    const auto got = tree.Do(op);
    longest = std::max(longest, SteadyNow() - begun);
    ASSERT_EQ(got.first, expected.first) << history;
    ASSERT_TRUE(got.second == expected.second) << "other content\n" << history;
    ASSERT_EQ(tree.size(), native.size()) << history;
    if (operations % 50 != 0) continue;
    ASSERT_TRUE(tree.Read(0, 2 * kMaxFileSize) == native.Read(0, 2 * kMaxFileSize)) << "the whole file\n" << history;
  }
  const int kills = killer.Stop();
  EXPECT_GT(kills, 5);
  EXPECT_LT(longest, absl::Seconds(15));
  std::cout << kills << " kills in " << operations << " operations; the longest took " << longest << "\n";
}

// A directory of files, each of which says who it is.
class Names {
 public:
  Names(std::string tree, std::string native) : tree_(std::move(tree)), native_(std::move(native)) {}
  using Files = std::map<std::string, std::string>;  // name -> content

  // One more random call, and a look at what is there. What was wrong, if anything was.
  std::string Step(std::mt19937_64& random) {
    const std::string one = absl::StrCat("n", random() % 8);
    const std::string other = absl::StrCat("n", random() % 8);
    const std::string path = absl::StrCat(tree_, "/", one);
    switch (random() % 6) {
      case 0:
        return Create(one);
      case 1: {
        Files after = files_;
        if (const auto found = after.find(one); found != after.end() && one != other) {
          after[other] = found->second;
          after.erase(one);
        }
        const bool done = rename(path.c_str(), absl::StrCat(tree_, "/", other).c_str()) == 0;
        return Changed(absl::StrCat("rename ", one, " ", other), done ? 0 : errno, files_.contains(one) ? 0 : ENOENT,
                       after);
      }
      case 2: {
        Files after = files_;
        after.erase(one);
        const bool done = unlink(path.c_str()) == 0;
        return Changed("unlink " + one, done ? 0 : errno, files_.contains(one) ? 0 : ENOENT, after);
      }
      case 3:
        return Overwrite(one);
      case 4:
        return Look();
      default: {
        const auto read = ReadFile(path);
        const auto known = files_.find(one);
        if (known == files_.end()) return read.ok() ? one + " should not be there" : "";
        return read.ok() && *read == known->second ? "" : absl::StrCat(one, " is ", read.value_or("unreadable"));
      }
    }
  }
  int unknown() const { return unknown_; }

 private:
  static Files In(const std::string& directory) {
    Files files;
    std::error_code error;
    for (auto at = std::filesystem::directory_iterator(directory, error);
         !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
      files[at->path().filename()] = ReadFile(at->path()).value_or("unreadable");
    }
    if (error) files["listing"] = error.message();
    return files;
  }
  // A call that should have answered `expected` and done `after`. EIO: perhaps it did, perhaps not.
  std::string Changed(const std::string& call, int error, int expected, const Files& after) {
    if (error == EIO) {
      ++unknown_;
      const Files now = In(native_);
      if (now != files_ && now != after) return call + ": neither done nor not done";
      files_ = now;
      return "";
    }
    if (error != expected) return absl::StrCat(call, ": errno ", error, ", not ", expected);
    if (error == 0) files_ = after;
    return "";
  }
  std::string Create(const std::string& name) {
    const std::string path = absl::StrCat(tree_, "/", name);
    const unique_fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    Files after = files_;
    after.try_emplace(name, "");
    const int error = file ? 0 : errno;
    const int expected = files_.contains(name) ? EEXIST : 0;
    if (std::string wrong = Changed("create " + name, error, expected, after); !wrong.empty()) return wrong;
    if (!file) return "";
    const std::string content = absl::StrCat(name, " number ", ++made_);
    if (write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
      return absl::StrCat("write to ", name, ": errno ", errno);
    }
    files_[name] = content;
    return "";
  }
  std::string Overwrite(const std::string& name) {
    if (!files_.contains(name)) return "";
    const unique_fd file(open(absl::StrCat(tree_, "/", name).c_str(), O_RDWR | O_TRUNC | O_CLOEXEC));
    if (!file) return absl::StrCat("open ", name, " to overwrite it: errno ", errno);
    const std::string content = absl::StrCat(name, " again ", ++made_);
    if (pwrite(file.get(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size())) {
      return absl::StrCat("overwrite ", name, ": errno ", errno);
    }
    files_[name] = content;
    return "";
  }
  std::string Look() const {
    const Files seen = In(tree_);
    return seen == files_ ? "" : absl::StrCat("other names or contents: ", seen.size(), " for ", files_.size());
  }

  const std::string tree_;
  const std::string native_;
  Files files_;
  int made_ = 0;
  int unknown_ = 0;
};

TEST_F(Takeover, NamesLeadToTheirFiles) {
  constexpr int kUsers = 3;
  std::array<std::string, kUsers> wrong;
  std::array<int, kUsers> steps{};
  std::array<int, kUsers> unknown{};
  Killer killer(SharedTwoPaths().cluster());
  std::vector<std::thread> users;
  for (size_t user = 0; user < kUsers; ++user) {
    const std::string name = absl::StrCat("/", user);
    ASSERT_EQ(MakeDir(pair_.behind_tree + name), 0);
    users.emplace_back([&, user, name] {
      std::mt19937_64 random(user);
      Names names(pair_.tree + name, pair_.behind_tree + name);
      for (; !Over() && wrong[user].empty(); ++steps[user]) wrong[user] = names.Step(random);
      unknown[user] = names.unknown();
    });
  }
  for (std::thread& user : users) user.join();
  const int kills = killer.Stop();
  EXPECT_GT(kills, 5);
  for (size_t user = 0; user < kUsers; ++user) {
    EXPECT_EQ(wrong[user], "") << "user " << user << " at step " << steps[user];
    std::cout << "user " << user << ": " << steps[user] << " calls, " << unknown[user] << " of them EIO in " << kills
              << " kills\n";
  }
}

}  // namespace
}  // namespace flocker::testing
