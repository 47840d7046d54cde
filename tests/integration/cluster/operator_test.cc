// flockerctl as its users meet it: on a terminal, in scripts, watching, and looking for a fault.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using nlohmann::json;

class Operator : public ClusterTest {
 protected:
  std::string Flockerctl() const {
    return absl::StrCat(FLOCKER_BIN_DIR, "/flockerctl --control unix:", cluster_.dir(), "/control.sock");
  }
  // On a terminal of its own that can show everything (script(1)).
  std::string OnATerminal(const std::string& args) {
    const auto result = RunCommand({"env", "-u", "NO_COLOR", "TERM=xterm", "LC_ALL=C.UTF-8", "script", "-qec",
                                    absl::StrCat(Flockerctl(), " ", args), "/dev/null"},
                                   absl::Seconds(60));
    EXPECT_TRUE(result.ok() && result->exit_code == 0) << (result.ok() ? result->output : "script(1) failed");
    return result.ok() ? result->output : "";
  }
  json Json(const std::vector<std::string>& args) {
    const CommandResult result = cluster_.Ctl(args);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  }
};

TEST_F(Operator, OnATerminalItWaitsAndSaysWhichStepItIsAt) {
  const std::string created = OnATerminal("create -n alpha -m name=Test -s 1G");
  EXPECT_TRUE(cluster_.AttachedOn("alpha", "Test")) << created;
  EXPECT_TRUE(std::regex_search(created, std::regex("\r\033\\[Kcreating Test: .*, [0-9.]+s"))) << created;
  EXPECT_TRUE(std::regex_search(created, std::regex("\r\033\\[Kcreated Test on alpha in [0-9.]+s"))) << created;
  const std::string listed = OnATerminal("ls");
  EXPECT_TRUE(absl::StrContains(listed, "1.00G   name=Test   \033[32mattached ✅\033[0m   ")) << listed;
  EXPECT_TRUE(absl::StrContains(OnATerminal("move -d Test -t beta"), "moved Test to beta in "));
  EXPECT_TRUE(cluster_.AttachedOn("beta", "Test"));
  EXPECT_TRUE(absl::StrContains(OnATerminal("move -d Test -t alpha --no-wait"), "initiated move of dataset"));
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("alpha", "Test"); }));
  EXPECT_TRUE(absl::StrContains(OnATerminal("destroy -d Test"), "destroyed Test in "));
  EXPECT_FALSE(cluster_.Find("Test"));
}

TEST_F(Operator, InAScriptItSaysWhatFlockerSaid) {
  EXPECT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=Test", "-s", "1G"}).output,
            "created dataset in configuration, manually poll state with 'flockerctl list' to see it show up.\n");
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return cluster_.AttachedOn("alpha", "Test"); }));
  EXPECT_EQ(cluster_.Ctl({"move", "-d", cluster_.Id("Test").substr(0, 8), "-t", "beta"}).output,
            "initiated move of dataset, please check state to observe it actually move.\n");
  EXPECT_EQ(cluster_.Ctl({"destroy", "-d", "Test"}).output,
            "marked dataset as deleted. poll list manually to see it disappear.\n");
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return cluster_.List().empty(); }));
}

TEST_F(Operator, WaitsAsLongAsItIsToldAndSaysWhatItWaitedFor) {
  ASSERT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "1G", "--wait"}).exit_code, 0);
  ASSERT_TRUE(cluster_.AttachedOn("alpha", "db"));
  cluster_.SignalNode("beta", SIGSTOP);
  const CommandResult waited = cluster_.Ctl({"move", "-d", "db", "-t", "beta", "--wait", "--timeout", "2"});
  cluster_.SignalNode("beta", SIGCONT);
  EXPECT_EQ(waited.exit_code, 13) << waited.output;  // timeout
  EXPECT_TRUE(absl::StrContains(waited.output, "not done within 2s (the node logs in and mounts)")) << waited.output;
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return cluster_.AttachedOn("beta", "db"); }));
}

TEST_F(Operator, EverythingIsJsonForPrograms) {
  const json created = Json({"create", "-n", "alpha", "-m", "name=db,team=a", "-s", "1G", "--wait", "--json"});
  EXPECT_EQ(created["status"], "attached") << created;
  EXPECT_EQ(created["maximum_size"], 1 << 30);
  EXPECT_EQ(created["metadata"]["team"], "a");
  const json nodes = Json({"--json", "nodes"});
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(Json({"ls", "--json"})[0]["dataset_id"], created["dataset_id"]);
  EXPECT_EQ(Json({"version", "--json"})["flockerctl"], FLOCKER_VERSION);
  EXPECT_TRUE(Json({"nodes", "drain", "beta", "--json"})[0]["drained"]);
  const CommandResult refused = cluster_.Ctl({"move", "-d", "db", "-t", "beta", "--json"});
  EXPECT_EQ(refused.exit_code, 10);
  const json error = json::parse(refused.output, nullptr, false)["error"];
  EXPECT_EQ(error["cause"], "forbidden") << refused.output;
  EXPECT_EQ(error["exit_code"], 10);
  EXPECT_EQ(Json({"why", "db", "--json"})["cause"], "forbidden");
  for (const auto line : absl::StrSplit(cluster_.Ctl({"events", "--json"}).output, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(json::parse(std::string(line), nullptr, false).contains("seq")) << line;
  }
  EXPECT_EQ(Json({"destroy", "-d", "db", "--wait", "--json"})["deleted"], true);
  EXPECT_EQ(Json({"trash", "--json"})[0]["status"], "deleted");
}

TEST_F(Operator, GrowsAndSaysThatNothingShrinks) {
  MakeOnAlpha("db");
  ASSERT_EQ(cluster_.Ctl({"grow", "db", "80G", "--wait"}).exit_code, 0);
  EXPECT_EQ(cluster_.Find("db")->size, "80.00G");
  EXPECT_EQ(std::filesystem::file_size(cluster_.BackingFile("db")), uint64_t{80} << 30);
  const CommandResult shrunk = cluster_.Ctl({"grow", "db", "1G"});
  EXPECT_EQ(shrunk.exit_code, 2) << shrunk.output;
  EXPECT_TRUE(absl::StrContains(shrunk.output, "cannot shrink")) << shrunk.output;
}

TEST_F(Operator, WatchesOverARestartOfControl) {
  Daemon watch(
      {FLOCKER_BIN_DIR "/flockerctl", "--control", absl::StrCat("unix:", cluster_.dir(), "/control.sock"), "watch"},
      cluster_.dir() + "/watch.log");
  MakeOnAlpha("before");
  ASSERT_TRUE(watch.Start().ok());
  // It is there once it tells of something.
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] {
    cluster_.Ctl({"move", "-d", "nothing", "-t", "beta"});
    cluster_.Ctl({"create", "-n", "alpha", "-m", "name=before"});
    return absl::StrContains(watch.log(), "the name before is taken");
  }));
  EXPECT_FALSE(absl::StrContains(watch.log(), "before  created"));
  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return cluster_.Connected("alpha"); }));
  MakeOnAlpha("after");
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return absl::StrContains(watch.log(), "after  attached"); }))
      << watch.log();
  EXPECT_TRUE(watch.running());
}

TEST_F(Operator, DoctorFindsNothingFailedHereAndSaysWhenControlIsAway) {
  std::set<std::string> good;
  for (const json& check : Json({"doctor", "--for", "node", "--json"})) {
    EXPECT_NE(check["verdict"], "failed") << check;
    if (check["verdict"] == "ok") good.insert(check["check"]);
  }
  for (const char* subject : {"kernel", "FUSE", "loop devices", "mount namespace", "control", "clock", "nodes"}) {
    EXPECT_TRUE(good.contains(subject)) << subject;
  }
  const CommandResult alone = cluster_.Ctl({"--control", "127.0.0.1:9", "doctor", "--for", "client"});
  EXPECT_EQ(alone.exit_code, 1) << alone.output;
  EXPECT_TRUE(absl::StrContains(alone.output, "failed   control: ")) << alone.output;
  EXPECT_TRUE(absl::StrContains(alone.output, "-> look whether flocker-control runs")) << alone.output;
}

// The CHAP secrets that control has given out, as its state on the disk shows them.
std::set<std::string> ChapSecrets(const std::string& state) {
  const std::regex secret("\"secret\": ?\"([0-9a-f]{12,})\"");
  std::set<std::string> secrets;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(state)) {
    if (!entry.is_regular_file()) continue;
    const std::string bytes = ReadFile(entry.path()).value_or("");
    for (std::sregex_iterator hit(bytes.begin(), bytes.end(), secret); hit != std::sregex_iterator(); ++hit) {
      secrets.insert((*hit)[1]);
    }
  }
  return secrets;
}

TEST_F(Operator, ASupportBundleHasNoSecrets) {
  MakeOnAlpha("db");
  const std::string configuration = cluster_.dir() + "/etc";
  ASSERT_TRUE(MakeDirectories(configuration).ok());
  ASSERT_TRUE(
      ReplaceFile(configuration + "/agent.yml", "dataset: {backend: aws, secret_access_key: hunter2hunter2}\n").ok());
  ASSERT_TRUE(ReplaceFile(configuration + "/node.key", "hunter3hunter3\n").ok());
  const std::string file = cluster_.dir() + "/bundle.tar.gz";
  const CommandResult made = cluster_.Ctl({"support-bundle", file, "--configuration", configuration});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  struct stat status {};
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto listed = RunChecked({"tar", "-tzf", file}, absl::Seconds(10));
  ASSERT_TRUE(listed.ok()) << listed.status();
  for (const char* name : {"doctor.txt", "datasets.json", "nodes.json", "events.jsonl", "agent.yml", "mountinfo.txt"}) {
    EXPECT_TRUE(absl::StrContains(*listed, name)) << *listed;
  }
  EXPECT_FALSE(absl::StrContains(*listed, "node.key")) << *listed;
  const auto content = RunChecked({"tar", "-xOzf", file}, absl::Seconds(10));
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_TRUE(absl::StrContains(*content, "secret_access_key: <redacted>"));
  EXPECT_FALSE(absl::StrContains(*content, "hunter"));
  const std::set<std::string> secrets = ChapSecrets(cluster_.dir() + "/control");
  EXPECT_FALSE(secrets.empty());
  for (const std::string& secret : secrets) EXPECT_FALSE(absl::StrContains(*content, secret)) << secret;
  EXPECT_EQ(cluster_.Ctl({"support-bundle", file}).exit_code, 4);  // exists
}

}  // namespace
}  // namespace flocker::testing
