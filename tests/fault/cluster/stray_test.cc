// The reconcilers of node and array: what is ours and nobody accounts for goes, a stranger's of the same kind stays.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/loop.h"
#include "engine/volume/mountinfo.h"
#include "tests/harness/daemon.h"
#include "tests/harness/metrics_page.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr char kUnknown[] = "5caff01d-0000-4000-8000-00000000000";
constexpr absl::Duration kPatience = absl::Seconds(30);

class Strays : public ClusterTest {
 protected:
  static const std::string& Metrics() {
    static const std::string address = absl::StrCat("127.0.0.1:", FreePort());
    return address;
  }
  Strays()
      : ClusterTest({.control_flags = {"--reconcile-interval", "0.5", "--metrics", Metrics()},
                     .agent_flags = {"--reconcile-interval", "0.5"}}) {}

  std::string alpha() const { return cluster_.dir() + "/alpha"; }
  size_t Found() {
    const std::string events = cluster_.Ctl({"events"}).output;
    size_t found = 0;
    for (size_t at = 0; (at = events.find(" stray", at)) != std::string::npos; ++at) ++found;
    return found;
  }
  void Run(const std::vector<std::string>& argv) {
    const auto ran = RunChecked(argv, absl::Seconds(20));
    ASSERT_TRUE(ran.ok()) << ran.status();
  }
  void Iscsi(std::vector<std::string> args) {
    args.insert(args.begin(), {"--lld", "iscsi"});
    const auto ran = cluster_.array().Admin(args);
    ASSERT_TRUE(ran.ok()) << ran.status();
  }
  std::string Targets() {
    return cluster_.array().Admin({"--lld", "iscsi", "--op", "show", "--mode", "target"}).value_or("?");
  }
  void MakeTarget(const std::string& tid, const std::string& name, const std::string& file) {
    std::ofstream(file).close();
    std::filesystem::resize_file(file, 1 << 20);
    Iscsi({"--op", "new", "--mode", "target", "--tid", tid, "-T", name});
    Iscsi({"--op", "new", "--mode", "logicalunit", "--tid", tid, "--lun", "1", "--bstype", "rdwr", "-b", file});
    Iscsi({"--op", "bind", "--mode", "target", "--tid", tid, "-I", "ALL"});
  }
  std::string Counted() { return MetricLines(Metrics(), "flocker_strays_total"); }
  int ArrayLooks() {
    int looks = 0;
    return absl::SimpleAtoi(
               absl::StripPrefix(MetricLines(Metrics(), "flocker_array_looks_total"), "flocker_array_looks_total "),
               &looks)
               ? looks
               : -1;
  }
  // Every reconciler has looked, and done what it had to, since this moment. An agent's lists <root>/format once a
  // look, near its end; the third time what the second look found is dealt with.
  void LetThemLook() {
    const unique_fd watch(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    std::map<int, int> listings;
    for (const char* node : {"alpha", "beta"}) {
      const std::string directory = absl::StrCat(cluster_.dir(), "/", node, "/format");
      const int added = inotify_add_watch(watch.get(), directory.c_str(), IN_OPEN | IN_ONLYDIR);
      ASSERT_GE(added, 0) << directory << ": " << strerror(errno);
      listings[added] = 0;
    }
    const int looks = ArrayLooks();
    ASSERT_GE(looks, 0);
    EXPECT_TRUE(Eventually(kPatience, [&] {
      alignas(inotify_event) std::array<char, 4096> events;
      const ssize_t size = read(watch.get(), events.data(), events.size());
      for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(events.data() + at);
        if (event->len == 0) ++listings[event->wd];  // the directory itself, none of its entries
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
      return ArrayLooks() >= looks + 3 &&
             std::all_of(listings.begin(), listings.end(), [](const auto& entry) { return entry.second >= 3; });
    }));
  }
};

TEST_F(Strays, NoneInAHealthyRun) {
  MakeOnAlpha("db");
  MakeOnAlpha("web");
  for (int round = 0; round < 4; ++round) {
    ASSERT_EQ(Mv("db", round % 2 == 0 ? "alpha" : "beta", round % 2 == 0 ? "beta" : "alpha"), 0);
  }
  LetThemLook();
  EXPECT_EQ(Found(), 0u) << cluster_.Ctl({"events"}).output;
  EXPECT_EQ(Counted(), "flocker_strays_total 0\n");
}

// A whole stack whose agent forgot it: server, FUSE file, loop device, filesystem, names.
TEST_F(Strays, AWholeAttachmentThatNobodyAccountsForIsTakenAwayAndMadeAnew) {
  MakeOnAlpha("db");
  const std::string native = cluster_.NativePath("alpha", "db");
  const pid_t server = cluster_.LunServer("db");
  ASSERT_GT(server, 0);
  cluster_.agent("alpha").Kill();
  for (const auto& entry : std::filesystem::directory_iterator(alpha() + "/journal")) {
    std::filesystem::remove(entry.path());
  }
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_TRUE(Eventually(kPatience, [&] { return cluster_.AttachedOn("alpha", "db") && Found() == 1; }))
      << cluster_.Ctl({"events"}).output;
  EXPECT_NE(cluster_.NativePath("alpha", "db"), native);
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "content\n");
  EXPECT_NE(cluster_.LunServer("db"), server);
  for (const std::string& line : cluster_.Belongings()) {
    EXPECT_FALSE(absl::EndsWith(line, std::filesystem::path(native).filename().string())) << line;
  }
}

TEST_F(Strays, EachKindOnANodeGoesAndStrangersOfEachKindStay) {
  const std::string ours = absl::StrCat(alpha(), "/lun/", kUnknown, "1.7");
  const std::string other = cluster_.dir() + "/other";
  std::filesystem::create_directories(other);
  // A server without anything else; one of another root.
  const auto lun = [&](const std::string& file) {
    std::ofstream(file).close();
    return std::vector<std::string>{FLOCKER_BIN_DIR "/flocker-lun",
                                    "--node",
                                    "alpha",
                                    "--dataset",
                                    absl::StrCat(kUnknown, "1"),
                                    "--mount-epoch",
                                    "7",
                                    "--mountpoint",
                                    file,
                                    "--socket",
                                    file + ".sock"};
  };
  Daemon stray(lun(ours), cluster_.dir() + "/stray.log");
  Daemon stranger(lun(other + "/" + kUnknown + "1.7"), cluster_.dir() + "/stranger.log");
  ASSERT_TRUE(stranger.Start().ok());
  ASSERT_TRUE(stray.Start().ok());
  // Loop devices over a file of ours that nobody serves, and over others'.
  const std::string looped = absl::StrCat(alpha(), "/lun/", kUnknown, "2.9");
  const std::string foreign = alpha() + "/lun/backup.img";
  for (const std::string& file : {foreign, looped}) {
    std::ofstream(file).close();
    std::filesystem::resize_file(file, 16 << 20);
    Run({"losetup", "-f", file});
  }
  // A filesystem of its own somewhere below the root; one that looks like ours in all but its kind.
  const std::string tmpfs = alpha() + "/mnt/admin";
  std::filesystem::create_directory(tmpfs);
  ASSERT_EQ(mount("tmpfs", tmpfs.c_str(), "tmpfs", 0, nullptr), 0);
  const absl::Cleanup unmount = [&] {
    umount2(tmpfs.c_str(), MNT_DETACH);
    std::filesystem::remove(tmpfs);
    RunCommand({"losetup", "-d", FindLoop(foreign)->value().path()}, absl::Seconds(10)).IgnoreError();
    std::filesystem::remove(foreign);
  };
  // A name alone.
  const std::string name = absl::StrCat(alpha(), "/mnt/", kUnknown, "3.4");
  std::filesystem::create_directory(name);

  EXPECT_TRUE(Eventually(kPatience, [&] {
    return !stray.running() && !FindLoop(looped)->has_value() && !std::filesystem::exists(name) &&
           !std::filesystem::exists(looped) && !std::filesystem::exists(ours);
  })) << cluster_.agent("alpha").log();
  EXPECT_TRUE(Eventually(kPatience, [&] { return Found() == 3; })) << cluster_.Ctl({"events"}).output;
  LetThemLook();
  EXPECT_TRUE(stranger.running());
  EXPECT_TRUE(FindLoop(foreign)->has_value());
  EXPECT_TRUE(FindMount(tmpfs)->has_value());
  EXPECT_EQ(Found(), 3u);
  EXPECT_EQ(Counted(), "flocker_strays_total 3\n");
}

TEST_F(Strays, EachKindOnTheArrayGoesAndStrangersStay) {
  MakeOnAlpha("db");
  const std::string pool = cluster_.dir() + "/pool";
  const std::string id = cluster_.Find("db")->id;
  const std::string before = cluster_.NativePath("alpha", "db");
  // A target that no record knows, over a file in our pool; one that is named like ours over somebody else's file; and
  // one of another name over a file in our pool.
  MakeTarget("5001", absl::StrCat("iqn.2026-11.io.flocker:", kUnknown, "1"),
             absl::StrCat(pool, "/", kUnknown, "1.img"));
  MakeTarget("5002", absl::StrCat("iqn.2026-11.io.flocker:", kUnknown, "2"), cluster_.dir() + "/other.img");
  MakeTarget("5003", "iqn.2020-01.org.example:disk", pool + "/example.img");
  EXPECT_TRUE(Eventually(kPatience, [&] { return !absl::StrContains(Targets(), absl::StrCat(kUnknown, "1")); }));
  // Somebody else may log in to a dataset that is attached.
  std::string tid;
  for (const std::string& line : {Targets()}) {
    const size_t at = line.find(absl::StrCat(": iqn.2026-11.io.flocker:", id));
    ASSERT_NE(at, std::string::npos) << line;
    tid = line.substr(line.rfind(' ', at) + 1, at - line.rfind(' ', at) - 1);
  }
  Iscsi({"--op", "bind", "--mode", "target", "--tid", tid, "--initiator-name", "iqn.2026-11.io.flocker:intruder"});
  EXPECT_TRUE(Eventually(kPatience, [&] { return !absl::StrContains(Targets(), "intruder"); })) << Targets();
  LetThemLook();
  EXPECT_THAT(Targets(), ::testing::HasSubstr(absl::StrCat(kUnknown, "2")));
  EXPECT_THAT(Targets(), ::testing::HasSubstr("org.example"));
  EXPECT_TRUE(std::filesystem::exists(absl::StrCat(pool, "/", kUnknown, "1.img"))) << "it may be somebody's data";
  EXPECT_TRUE(cluster_.Happened("no record knows it"));
  EXPECT_EQ(Found(), 2u) << cluster_.Ctl({"events"}).output;
  EXPECT_EQ(cluster_.NativePath("alpha", "db"), before);
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "as before"), 0);
}

// An export that the array lost is granted anew, whatever noticed it first.
TEST_F(Strays, AnExportThatIsMissingComesBack) {
  MakeOnAlpha("db");
  cluster_.control().Kill();
  cluster_.array().Kill();
  cluster_.array().Start();
  ASSERT_TRUE(cluster_.StartControl().ok());
  EXPECT_TRUE(Eventually(kPatience, [&] {
    return cluster_.AttachedOn("alpha", "db") && absl::StrContains(Targets(), cluster_.Find("db")->id);
  }));
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "again"), 0);
  EXPECT_EQ(Found(), 0u);
}

}  // namespace
}  // namespace flocker::testing
