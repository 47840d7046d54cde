// /flocker/.flocker: what it shows, who is woken by it, and that nobody has to be there for it to be read.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/integration/fusefs/rig.h"

namespace flocker::testing {
namespace {

using Json = nlohmann::json;

constexpr size_t kKept = 2048;  // EventLog::kKept; twice as many are held before the older ones go

class Info : public Rig {
 protected:
  std::string File(const std::string& name) const { return Tree(".flocker/" + name); }

  void Happen(uint64_t first, uint64_t last) {
    rpc::Events events;
    for (uint64_t seq = first; seq <= last; ++seq) {
      rpc::EventView& event = *events.add_events();
      event.set_seq(seq);
      event.set_time_ms(1000);
      event.set_kind("tested");
      if (events.events_size() == 256 || seq == last) {
        agent_->Happened(events);
        events.Clear();
      }
    }
  }
  // The sequence numbers in a text of events.
  static std::vector<uint64_t> Numbers(const std::string& text) {
    std::vector<uint64_t> numbers;
    for (const std::string& line : std::vector<std::string>(absl::StrSplit(text, '\n', absl::SkipEmpty()))) {
      const Json event = Json::parse(line, nullptr, false);
      EXPECT_TRUE(event.is_object()) << line;
      numbers.push_back(event.value("seq", uint64_t{0}));
    }
    return numbers;
  }
  std::vector<uint64_t> Read(const std::string& name) const {
    const auto text = ReadFile(File(name));
    return text.ok() ? Numbers(*text) : std::vector<uint64_t>{};
  }
  bool Shows(uint64_t last) const {
    const auto numbers = Read("events");
    return !numbers.empty() && numbers.back() == last;
  }
  Json Status() const { return Json::parse(ReadFile(File("status")).value_or("unread"), nullptr, false); }

  // What was not yet read of an open file.
  static std::string Rest(const unique_fd& file) {
    std::string text;
    std::array<char, 512> room{};
    while (true) {
      const ssize_t size = read(file.get(), room.data(), room.size());
      if (size <= 0) return size < 0 ? absl::StrCat("errno ", errno) : text;
      text.append(room.data(), static_cast<size_t>(size));
    }
  }
};

TEST_F(Info, ListsItsFilesAndNobodyChangesThem) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Tree(".flocker"))) {
    names.push_back(entry.path().filename());
    EXPECT_TRUE(entry.is_regular_file());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"events", "metrics", "status", "version"}));
  EXPECT_EQ(ReadFile(File("version")).value_or("unread"), FLOCKER_VERSION "\n");

  const auto errno_of = [](int result) { return result < 0 ? errno : 0; };
  EXPECT_EQ(errno_of(open(File("status").c_str(), O_WRONLY)), EPERM);
  EXPECT_EQ(errno_of(open(File("events").c_str(), O_RDWR | O_APPEND)), EPERM);
  EXPECT_EQ(errno_of(open(File("status").c_str(), O_RDONLY | O_TRUNC)), EPERM);
  EXPECT_EQ(errno_of(open(File("new").c_str(), O_WRONLY | O_CREAT, 0600)), EPERM);
  EXPECT_EQ(errno_of(truncate(File("events").c_str(), 0)), EPERM);
  EXPECT_EQ(errno_of(chmod(File("status").c_str(), 0777)), EPERM);
  EXPECT_EQ(errno_of(access(File("status").c_str(), W_OK)), EPERM);
  EXPECT_EQ(errno_of(unlink(File("status").c_str())), EPERM);
  EXPECT_EQ(errno_of(symlink("x", File("link").c_str())), EPERM);
  EXPECT_EQ(MakeDir(File("directory")), EPERM);
  EXPECT_EQ(RemoveDir(Tree(".flocker")), EPERM);
  EXPECT_EQ(testing::Rename(Tree(".flocker"), Tree("alpha/x")), EPERM);
  EXPECT_EQ(testing::Rename(File("status"), File("other")), EPERM);
  EXPECT_EQ(errno_of(access(File("none").c_str(), F_OK)), ENOENT);
}

TEST_F(Info, StatusAndMetricsSayHowTheClusterIs) {
  Attached("here");
  Add("there", beta_);
  ASSERT_TRUE(catalog_->Publish({.pool = CatalogPool{.size = 1000, .free = 400, .trash = 30}}).ok());
  Happen(5, 6);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(6); }));
  const Json status = Status();
  ASSERT_TRUE(status.is_object()) << ReadFile(File("status")).value_or("unread");
  EXPECT_EQ(status["version"], FLOCKER_VERSION);
  EXPECT_EQ(status["node"], "alpha");
  EXPECT_EQ(status["agent"], true);
  EXPECT_EQ(status["control"], true);
  EXPECT_EQ(status["datasets"], 2);
  EXPECT_EQ(status["pool"], (Json{{"size", 1000}, {"free", 400}, {"trash", 30}}));
  EXPECT_EQ(status["events"], (Json{{"first", 5}, {"last", 6}}));
  ASSERT_EQ(status["nodes"].size(), 3U);
  EXPECT_EQ(status["nodes"][2]["name"], "gamma");
  EXPECT_EQ(status["nodes"][2]["connected"], false);
  ASSERT_EQ(status["here"].size(), 1U);
  EXPECT_EQ(status["here"][0]["name"], "here");
  EXPECT_EQ(status["here"][0]["state"], "attached");
  EXPECT_EQ(status["here"][0]["mounted"], true);

  const std::string metrics = ReadFile(File("metrics")).value_or("unread");
  for (const char* line :
       {"\nflocker_tree_control_reachable 1\n", "\nflocker_tree_nodes{state=\"away\"} 1\n",
        "\nflocker_tree_datasets 2\n", "\nflocker_tree_node_datasets{state=\"attached\"} 1\n",
        "\nflocker_tree_pool_free_bytes 400\n", "\nflocker_tree_last_event 6\n", "# TYPE flocker_tree_nodes gauge"}) {
    EXPECT_TRUE(absl::StrContains(metrics, line)) << line << " is missing in\n" << metrics;
  }
}

TEST_F(Info, EventsAreReadAsTheyGrow) {
  const unique_fd file(open(File("events").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file);
  EXPECT_EQ(Rest(file), "");
  Happen(1, 3);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(3); }));
  EXPECT_EQ(Numbers(Rest(file)), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(Rest(file), "");
  struct stat attributes {};
  ASSERT_EQ(fstat(file.get(), &attributes), 0);
  EXPECT_EQ(attributes.st_size, lseek(file.get(), 0, SEEK_CUR));
  Happen(4, 4);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(4); }));
  EXPECT_EQ(Numbers(Rest(file)), std::vector<uint64_t>{4});
}

TEST_F(Info, WhoWasAwayAsksFromANumberOn) {
  EXPECT_EQ(open(File("events@1").c_str(), O_RDONLY), -1);
  Happen(10, 14);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(14); }));
  EXPECT_EQ(Read("events@13"), (std::vector<uint64_t>{13, 14}));
  const unique_fd next(open(File("events@15").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(next) << "of the one that comes next";
  EXPECT_EQ(Rest(next), "");
  for (const char* none : {"events@9", "events@16", "events@", "events@013", "events@ 13", "events@+13", "events@-1"}) {
    EXPECT_EQ(open(File(none).c_str(), O_RDONLY), -1) << none;
    EXPECT_EQ(errno, ENOENT) << none;
  }
  Happen(15, 15);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(15); }));
  EXPECT_EQ(Numbers(Rest(next)), std::vector<uint64_t>{15});
}

TEST_F(Info, TailFollowsThem) {
  Happen(1, 30);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(30); }));
  const std::string output = scratch_ / "tail";
  const unique_fd out(open(output.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const auto tail =
      SpawnChild({.argv = {"tail", "-n", "2", "-s", "0.1", "-f", File("events")}, .output_fd = out.get()});
  ASSERT_TRUE(tail.ok()) << tail.status();
  const auto has = [&](const std::vector<uint64_t>& numbers) {
    const auto text = ReadFile(output);
    return text.ok() && absl::EndsWith("\n" + *text, "\n") && Numbers(*text) == numbers;
  };
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return has({29, 30}); })) << ReadFile(output).value_or("unread");
  Happen(31, 32);
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    return has({29, 30, 31, 32});
  })) << ReadFile(output).value_or("unread");
  Happen(33, 33);
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    return has({29, 30, 31, 32, 33});
  })) << ReadFile(output).value_or("unread");
  kill(tail->pid, SIGKILL);
  WaitEnd(tail->pidfd, absl::Seconds(5));
}

TEST_F(Info, PollWaitsForWhatIsNew) {
  Happen(1, 1);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(1); }));
  const unique_fd file(open(File("events").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file);
  pollfd wanted = {file.get(), POLLIN, 0};
  EXPECT_EQ(poll(&wanted, 1, 5000), 1) << "there is what was not read yet";
  EXPECT_EQ(Numbers(Rest(file)), std::vector<uint64_t>{1});
  EXPECT_EQ(poll(&wanted, 1, 0), 0) << "all is read";
  auto woken = Later([&] { return poll(&wanted, 1, 10'000); });
  EXPECT_FALSE(Done(woken, absl::Milliseconds(200)));
  Happen(2, 2);
  ASSERT_TRUE(Done(woken, absl::Seconds(2)));
  EXPECT_EQ(woken.get(), 1);
  EXPECT_EQ(Numbers(Rest(file)), std::vector<uint64_t>{2});

  // The same through epoll, edge after edge, with nothing but reading in between.
  const unique_fd set(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = file.get()}};
  ASSERT_EQ(epoll_ctl(set.get(), EPOLL_CTL_ADD, file.get(), &event), 0);
  for (uint64_t seq = 3; seq < 6; ++seq) {
    EXPECT_EQ(epoll_wait(set.get(), &event, 1, 0), 0);
    Happen(seq, seq);
    EXPECT_EQ(epoll_wait(set.get(), &event, 1, 5000), 1) << seq;
    EXPECT_EQ(Numbers(Rest(file)), std::vector<uint64_t>{seq});
  }
}

TEST_F(Info, FilesInADatasetAreStillAlwaysReady) {
  Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "content"), 0);
  const unique_fd file(open(Tree("alpha/data/file").c_str(), O_RDWR | O_CLOEXEC));
  pollfd wanted = {file.get(), POLLIN | POLLOUT, 0};
  EXPECT_EQ(poll(&wanted, 1, 0), 1);
  EXPECT_EQ(wanted.revents, POLLIN | POLLOUT);
}

TEST_F(Info, WhoFellTooFarBehindIsToldAndBeginsAnew) {
  Happen(1, 2);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(2); }));
  const unique_fd slow(open(File("events").c_str(), O_RDONLY | O_CLOEXEC));
  const unique_fd quick(open(File("events@3").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(slow && quick);
  EXPECT_EQ(Rest(quick), "");
  uint64_t quick_last = 2;
  for (uint64_t last = 1000; last <= 3 * kKept; last += 1000) {
    Happen(quick_last + 1, last);
    ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
      const auto numbers = Numbers(Rest(quick));
      if (!numbers.empty()) {
        EXPECT_EQ(numbers.front(), quick_last + 1);
        quick_last = numbers.back();
      }
      return quick_last == last;
    })) << "who keeps up misses nothing";
  }
  EXPECT_EQ(Rest(slow), absl::StrCat("errno ", ESTALE));
  const auto numbers = Read("events");
  ASSERT_FALSE(numbers.empty());
  EXPECT_EQ(numbers.back(), quick_last);
  EXPECT_GE(numbers.size(), kKept);
  EXPECT_GT(numbers.front(), 1U) << "the number says how many were missed";
}

TEST_F(Info, IsReadWhileAgentAndControlAreAway) {
  Happen(1, 3);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(3); }));
  agent_->SetReachable(false);
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Status()["control"] == false; }));
  EXPECT_EQ(Status()["agent"], true);
  agent_->Stop();
  const absl::Time start = absl::Now();
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Status()["agent"] == false; }));
  EXPECT_EQ(Read("events"), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_TRUE(absl::StrContains(ReadFile(File("metrics")).value_or(""), "\nflocker_tree_agent_connected 0\n"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  // The next agent tells everything again; nothing is shown twice.
  agent_->Start();
  ASSERT_TRUE(agent_->WaitConnected());
  Happen(1, 5);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(5); }));
  EXPECT_EQ(Read("events"), (std::vector<uint64_t>{1, 2, 3, 4, 5}));
}

TEST_F(Info, IsCopiedAsAnyOtherFile) {
  Attached("data");
  Happen(1, 50);
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] { return Shows(50); }));
  const auto copied = RunChecked({"cp", "-r", Tree(".flocker"), Tree("alpha/data/copy")}, absl::Seconds(10));
  ASSERT_TRUE(copied.ok()) << copied.status();
  for (const char* name : {"events", "metrics", "status", "version"}) {
    EXPECT_EQ(ReadFile(Tree(absl::StrCat("alpha/data/copy/", name))).value_or("unread"),
              ReadFile(File(name)).value_or("nothing"));
  }
}

// What a system call says of the space at a path, in bytes.
struct Space {
  uint64_t size = 0;
  uint64_t free = 0;
  bool operator==(const Space&) const = default;
};
Space SpaceOf(const std::string& path) {
  struct statvfs space {};
  EXPECT_EQ(statvfs(path.c_str(), &space), 0) << path;
  return {space.f_blocks * space.f_frsize, space.f_bfree * space.f_frsize};
}

TEST_F(Info, SpaceIsThePoolsOrTheDatasets) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  EXPECT_EQ(SpaceOf(Tree("")), Space()) << "nobody has told";
  ASSERT_TRUE(
      catalog_->Publish({.pool = CatalogPool{.size = 1000 * kMiB, .free = 400 * kMiB, .trash = 30 * kMiB}}).ok());
  CatalogDataset there = Add("there", beta_, Phase::kAttached);
  there.used = 5 * kMiB;
  Publish(there);
  CatalogDataset trashed = Add("gone", NodeId(), Phase::kTrashed);
  trashed.used = 30 * kMiB;
  Publish(trashed);
  const CatalogDataset here = Attached("here");
  const Space pool = {1000 * kMiB, 400 * kMiB};
  for (const char* path : {"", "alpha", "beta", ".flocker", ".flocker/status"}) EXPECT_EQ(SpaceOf(Tree(path)), pool);
  EXPECT_EQ(SpaceOf(Tree(".trash")), (Space{430 * kMiB, 400 * kMiB}));
  EXPECT_EQ(SpaceOf(Tree(absl::StrCat(".trash/gone@", trashed.id.Short()))), (Space{64 * kMiB, 34 * kMiB}));
  EXPECT_EQ(SpaceOf(Tree("beta/there")), (Space{64 * kMiB, 59 * kMiB}));
  struct statvfs native {};
  ASSERT_EQ(statvfs(Native(here).c_str(), &native), 0);
  EXPECT_EQ(SpaceOf(Tree("alpha/here")), (Space{native.f_blocks * native.f_frsize, native.f_bfree * native.f_frsize}));
}

}  // namespace
}  // namespace flocker::testing
