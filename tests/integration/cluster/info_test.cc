// /flocker/.flocker and df on a real cluster: the events reach every tree and are missed by nobody, and the figures are
// those of the array.
#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using Json = nlohmann::json;

// Reads a node's events as they come.
class Reader {
 public:
  explicit Reader(const std::string& tree) : file_(open((tree + "/.flocker/events").c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_TRUE(file_);
  }

  // Reads on until an event of that kind about that dataset came.
  ::testing::AssertionResult Until(const std::string& kind, const std::string& name) {
    return Eventually(absl::Seconds(20), [&] {
      for (const Json& event : Next()) {
        if (event["kind"] == kind && event.value("name", "") == name) return true;
      }
      return false;
    });
  }
  // Every number between the first and the last, each once.
  void ExpectNoGap() const {
    for (size_t i = 1; i < numbers_.size(); ++i) EXPECT_EQ(numbers_[i], numbers_[i - 1] + 1);
    EXPECT_FALSE(numbers_.empty());
  }
  uint64_t last() const { return numbers_.empty() ? 0 : numbers_.back(); }

 private:
  std::vector<Json> Next() {
    std::array<char, 4096> room{};
    while (true) {
      const ssize_t size = read(file_.get(), room.data(), room.size());
      EXPECT_GE(size, 0) << "errno " << errno;
      if (size <= 0) break;
      text_.append(room.data(), static_cast<size_t>(size));
    }
    std::vector<Json> events;
    for (size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      events.push_back(Json::parse(text_.substr(0, end), nullptr, false));
      EXPECT_TRUE(events.back().is_object()) << text_.substr(0, end);
      numbers_.push_back(events.back().value("seq", uint64_t{0}));
      text_.erase(0, end + 1);
    }
    return events;
  }

  const unique_fd file_;
  std::string text_;  // the beginning of a line
  std::vector<uint64_t> numbers_;
};

class Info : public ClusterTest {
 protected:
  Info() : ClusterTest({.control_flags = {"--reconcile-interval", "1"}}) {}
};

TEST_F(Info, NobodyMissesAnEventThoughControlAndAgentsAreKilled) {
  Reader alpha(cluster_.tree("alpha"));
  Reader beta(cluster_.tree("beta"));
  MakeOnAlpha("one");
  EXPECT_TRUE(alpha.Until("attached", "one"));
  EXPECT_TRUE(beta.Until("attached", "one"));

  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return cluster_.Connected("alpha") && cluster_.Connected("beta"); }));
  MakeOnAlpha("two");
  EXPECT_TRUE(alpha.Until("attached", "two"));

  // Beta's agent is away while things happen; its tree, and who reads there, stay.
  cluster_.agent("beta").Kill();
  MakeOnAlpha("three");
  EXPECT_TRUE(alpha.Until("attached", "three"));
  ASSERT_TRUE(cluster_.StartAgent("beta").ok());
  EXPECT_TRUE(beta.Until("attached", "three"));
  alpha.ExpectNoGap();
  beta.ExpectNoGap();

  // Somebody who had read up to there, and comes back later, asks for what is missing.
  const uint64_t seen = alpha.last();
  ASSERT_EQ(RemoveDir(cluster_.Path("alpha", "three")), 0) << cluster_.Why("three");
  EXPECT_TRUE(alpha.Until("trashed", "three"));
  const std::string missed =
      ReadFile(absl::StrCat(cluster_.tree("alpha"), "/.flocker/events@", seen + 1)).value_or("unread");
  EXPECT_TRUE(absl::StartsWith(missed, absl::StrCat("{\"seq\":", seen + 1, ","))) << missed;
  EXPECT_TRUE(absl::StrContains(missed, "\"trashed\"")) << missed;
}

TEST_F(Info, ATreeThatHangsHoldsUpNobodyAndCatchesUp) {
  MakeOnAlpha("taken");
  Reader reader(cluster_.tree("alpha"));
  EXPECT_TRUE(reader.Until("attached", "taken"));
  const pid_t hung = cluster_.TreeDaemon("alpha");
  ASSERT_EQ(kill(hung, SIGSTOP), 0);
  // More news than sockets and gRPC hold for somebody who reads none: control says of each that the name is taken.
  constexpr int kRefused = 1500;
  for (int i = 0; i < kRefused; ++i) ASSERT_EQ(MakeDir(cluster_.Path("beta", "taken")), EEXIST);
  // Its agent goes on: it hears control, and attaches what it shall.
  EXPECT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=made"}).exit_code, 0);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return cluster_.AttachedOn("alpha", "made"); }));
  EXPECT_TRUE(cluster_.Connected("alpha"));
  ASSERT_EQ(kill(hung, SIGCONT), 0);
  EXPECT_TRUE(reader.Until("attached", "made"));
  reader.ExpectNoGap();
  EXPECT_EQ(cluster_.TreeDaemon("alpha"), hung);
}

TEST_F(Info, SpaceIsWhatArrayAndFilesystemSay) {
  constexpr uint64_t kWritten = uint64_t{20} << 20;
  MakeOnAlpha("db", std::string(kWritten, 'x'));
  const auto space = [](const std::string& path) {
    struct statvfs answer {};
    EXPECT_EQ(statvfs(path.c_str(), &answer), 0) << path;
    return answer;
  };
  // As a whole: what the pool's own filesystem says.
  struct statvfs pool = space(cluster_.dir() + "/pool");
  for (const char* path : {"", "/alpha", "/beta", "/.flocker"}) {
    struct statvfs shown {};
    EXPECT_TRUE(Eventually(absl::Seconds(15),
                           [&] {
                             shown = space(cluster_.tree("beta") + path);
                             return shown.f_blocks * shown.f_frsize == pool.f_blocks * pool.f_frsize / 4096 * 4096;
                           }))
        << path << " has " << shown.f_blocks * shown.f_frsize;
    EXPECT_GT(shown.f_bfree, 0U);
    EXPECT_LT(shown.f_bfree, shown.f_blocks);
  }
  // Where it is mounted: ext4's own figures.
  const struct statvfs native = space(cluster_.NativePath("alpha", "db"));
  const struct statvfs here = space(cluster_.Path("alpha", "db"));
  EXPECT_EQ(here.f_blocks * here.f_frsize, native.f_blocks * native.f_frsize);
  EXPECT_EQ(here.f_bfree * here.f_frsize, native.f_bfree * native.f_frsize);
  EXPECT_EQ(here.f_ffree, native.f_ffree);
  // Elsewhere: its size, and what it takes of the pool, once control has looked.
  struct statvfs there {};
  EXPECT_TRUE(Eventually(absl::Seconds(15),
                         [&] {
                           there = space(cluster_.tree("beta") + "/alpha/db");
                           return (there.f_blocks - there.f_bfree) * there.f_frsize >= kWritten;
                         }))
      << "uses " << (there.f_blocks - there.f_bfree) * there.f_frsize;
  EXPECT_LT((there.f_blocks - there.f_bfree) * there.f_frsize, 4 * kWritten);
  EXPECT_GT(there.f_blocks * there.f_frsize, here.f_blocks * here.f_frsize) << "ext4 needs some of it for itself";
  // In the trash it goes on taking that.
  ASSERT_EQ(RemoveDir(cluster_.Path("alpha", "db")), 0) << cluster_.Why("db");
  EXPECT_TRUE(Eventually(absl::Seconds(15), [&] {
    const struct statvfs trash = space(cluster_.tree("alpha") + "/.trash");
    return (trash.f_blocks - trash.f_bfree) * trash.f_frsize >= kWritten;
  }));
  // As GNU df asks, which looks at the mount that a path is in.
  const auto df = RunChecked({"df", "-B1", "--output=size", cluster_.tree("alpha") + "/alpha"}, absl::Seconds(10));
  ASSERT_TRUE(df.ok()) << df.status();
  EXPECT_TRUE(absl::StrContains(*df, absl::StrCat(pool.f_blocks * pool.f_frsize / 4096 * 4096))) << *df;
}

}  // namespace
}  // namespace flocker::testing
