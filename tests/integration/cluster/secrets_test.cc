// Where CHAP secrets are not: logs, events, records, command lines, environments, core files.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "tests/harness/scratch.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

// Stands between control and the array's commands and notes what it is given: how else would a test know a secret?
constexpr char kRecord[] = R"(here=${0%/*}
printf '%s\n' "$1" >>"$here/lines"
case $1 in
  *--password*)
    IFS= read -r secret
    printf '%s\n' "$secret" >>"$here/secrets"
    printf '%s\n' "$secret" | sh -c "$1" ;;
  *) exec sh -c "$1" ;;
esac
)";

class Recorder {
 public:
  Recorder() {
    setenv("FLOCKER_LOG", "trace", 1);
    const absl::Status written = ReplaceFile(scratch_ / "record", kRecord);
    EXPECT_TRUE(written.ok()) << written;
  }
  ~Recorder() { unsetenv("FLOCKER_LOG"); }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  std::string prefix() const { return absl::StrCat("sh ", scratch_ / "record"); }
  std::set<std::string> Secrets() const {
    return absl::StrSplit(ReadFile(scratch_ / "secrets").value_or(""), '\n', absl::SkipEmpty());
  }
  // What the prefix, an ssh where the array is elsewhere, has in its command line.
  std::string Lines() const { return ReadFile(scratch_ / "lines").value_or(""); }

 private:
  const ScratchDir scratch_;
};

class ChapSecrets : private Recorder, public ClusterTest {
 protected:
  ChapSecrets() : ClusterTest({.control_flags = {"--tgtadm-prefix", prefix()}}) {}
  using Recorder::Lines;
  using Recorder::Secrets;
};

std::string ShowWithSpaces(std::string zeroes) {
  std::replace(zeroes.begin(), zeroes.end(), '\0', ' ');
  return zeroes;
}

TEST_F(ChapSecrets, AreNowhereToBeRead) {
  MakeOnAlpha("db");
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  ASSERT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "content\n");
  const std::set<std::string> secrets = Secrets();
  ASSERT_GE(secrets.size(), 2U) << "one of each node's attachment";
  const auto expect_none = [&](const std::string& where, const std::string& text) {
    for (const std::string& secret : secrets) {
      ASSERT_GE(secret.size(), 12U);
      EXPECT_FALSE(absl::StrContains(text, secret)) << where;
    }
  };

  size_t logs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cluster_.dir())) {
    if (entry.path().extension() != ".log") continue;
    ++logs;
    const auto text = ReadFile(entry.path().string());
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_NE(*text, "");
    expect_none(entry.path().string(), *text);
  }
  EXPECT_EQ(logs, 3U) << "control's, alpha's, beta's";
  for (const auto& entry : std::filesystem::directory_iterator(cluster_.dir() + "/pool")) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || path == cluster_.BackingFile("db")) continue;
    expect_none(path, ReadFile(path).value_or(""));
  }
  EXPECT_THAT(Lines(), ::testing::HasSubstr("--op new --mode account"));
  expect_none("the array's command lines", Lines());
  expect_none("the events", cluster_.Ctl({"events"}).output);

  // tgtadm has one in its command line for as long as it runs: two milliseconds.
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    for (const char* file : {"/cmdline", "/environ"}) {
      const std::string path = entry.path().string() + file;
      if (path.find_first_of("0123456789") != 6) continue;
      const auto text = ReadFile(path);
      if (text.ok()) expect_none(path, ShowWithSpaces(*text));
    }
  }
  for (const pid_t pid : {cluster_.control().pid(), cluster_.agent("beta").pid(), cluster_.LunServer("db")}) {
    ASSERT_GT(pid, 0);
    const std::string limits = ReadFile(absl::StrCat("/proc/", pid, "/limits")).value_or("");
    EXPECT_THAT(limits, ::testing::ContainsRegex("Max core file size +0 +0 ")) << pid;
  }
}

}  // namespace
}  // namespace flocker::testing
