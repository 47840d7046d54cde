#include "tests/harness/cluster.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(30);
constexpr absl::Duration kCommandTimeout = absl::Seconds(90);
constexpr char kSweep[] = FLOCKER_SOURCE_DIR "/scripts/sweep";

std::string Binary(const char* name) { return absl::StrCat(FLOCKER_BIN_DIR "/", name); }

std::vector<std::string> Lines(const std::string& text) { return absl::StrSplit(text, '\n', absl::SkipEmpty()); }

}  // namespace

TestCluster::TestCluster(ClusterOptions options)
    : options_(std::move(options)),
      pool_(options_.pool.empty() ? scratch_ / "pool" : options_.pool),
      outer_owner_(std::getenv("FLOCKER_OWNER")) {
  setenv("FLOCKER_OWNER", dir().c_str(), 1);
  std::filesystem::permissions(dir(), std::filesystem::perms(0755));  // tests are other users, too
  if (options_.docker_plugin) {
    // As systemd makes "/": what is mounted here reaches the namespaces that dockerd lives in.
    if (mount(dir().c_str(), dir().c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        mount(nullptr, dir().c_str(), nullptr, MS_SHARED, nullptr) != 0) {
      ADD_FAILURE() << ErrnoStatus(errno, absl::StrCat("cannot make ", dir(), " a shared mount"));
    }
  }
  if (options_.pool.empty()) std::filesystem::create_directory(pool_);
  const auto limit = [](const std::string& path, uint64_t bytes) {
    if (bytes != 0 && mount("tmpfs", path.c_str(), "tmpfs", 0, absl::StrCat("size=", bytes).c_str()) != 0) {
      ADD_FAILURE() << ErrnoStatus(errno, absl::StrCat("cannot mount a tmpfs at ", path));
    }
  };
  limit(pool_, options_.pool_bytes);
  if (options_.state_bytes != 0) std::filesystem::create_directory(scratch_ / "control");
  limit(scratch_ / "control", options_.state_bytes);
  if (!options_.apart.empty()) side_network_ = std::make_unique<SideNetwork>();
  if (!options_.local_array)
    array_ = std::make_unique<Tgtd>(side_network_ != nullptr ? side_network_->storage_address() : "127.0.0.1");
  const std::string listen = absl::StrCat("unix:", scratch_ / "control.sock");
  std::vector<std::string> argv = {
      Binary("flocker-control"), "--data", scratch_ / "control", "--listen", listen, "--pool", pool_};
  if (array_ != nullptr) {
    argv.insert(argv.end(),
                {"--tgt-control-number", absl::StrCat(array_->control_number()), "--portal", array_->portal()});
  } else {
    argv.insert(argv.end(), {"--array", "local"});
  }
  argv.insert(argv.end(), options_.control_flags.begin(), options_.control_flags.end());
  std::string far_listen;
  if (side_network_ != nullptr) {
    far_listen = absl::StrCat(side_network_->host_address(), ":", FreePort());
    argv.insert(argv.end(), {"--listen", far_listen, "--insecure"});
  }
  if (options_.certificates) {
    MakeCertificates();
    certified_address_ = absl::StrCat("127.0.0.1:", FreePort());
    argv.insert(argv.end(), {"--listen", certified_address_, "--certificates", Certificates("control")});
  }
  control_argv_ = argv;
  control_ = std::make_unique<Daemon>(argv, scratch_ / "control.log");
  for (const std::string& node : options_.nodes) {
    std::filesystem::create_directory(tree(node));
    const bool apart = node == options_.apart;
    std::vector<std::string> agent = apart ? side_network_->prefix() : std::vector<std::string>();
    agent.insert(agent.end(), {options_.agent_binaries.empty() ? Binary("flocker-agent")
                                                               : options_.agent_binaries + "/flocker-agent",
                               "--name", node, "--root", scratch_ / node, "--tree", tree(node)});
    if (options_.certificates) {
      agent.insert(agent.end(), {"--control", certified_address_, "--certificates", Certificates(node)});
    } else if (apart) {
      agent.insert(agent.end(), {"--control", far_listen, "--insecure"});
    } else {
      agent.insert(agent.end(), {"--control", listen});
    }
    if (options_.docker_plugin) agent.insert(agent.end(), {"--docker-socket", DockerPlugins(node) + "/flocker.sock"});
    agent.insert(agent.end(), options_.agent_flags.begin(), options_.agent_flags.end());
    agents_[node] = std::make_unique<Daemon>(agent, scratch_ / (node + ".log"));
  }
}

void TestCluster::MakeCertificates() {
  const auto make = [&](const std::string& whose, std::vector<std::string> what) {
    std::vector<std::string> argv = {Binary("flockerctl"), "ca"};
    argv.insert(argv.end(), what.begin(), what.end());
    argv.insert(argv.end(), {"--inputpath", Certificates("authority"), "--outputpath", Certificates(whose)});
    const auto made = RunChecked(argv, kCommandTimeout);
    EXPECT_TRUE(made.ok()) << made.status();
  };
  make("authority", {"init", "testcluster"});
  make("control", {"control", "127.0.0.1"});
  for (const std::string& node : options_.nodes) make(node, {"node"});
  make("ada", {"user", "ada"});
}

TestCluster::~TestCluster() {
  if (!::testing::Test::HasFailure()) DestroyAll();
  if (!::testing::Test::HasFailure()) {
    for (const auto& [node, agent] : agents_) EXPECT_TRUE(agent->Stop().ok()) << "the agent of " << node;
    EXPECT_TRUE(control_->Stop().ok()) << "flocker-control";
  }
  const auto swept = RunCommand({kSweep, dir()}, absl::Minutes(2));
  EXPECT_TRUE(swept.ok()) << swept.status();
  if (swept.ok()) {
    EXPECT_EQ(swept->exit_code, 0) << "left behind:\n" << swept->output;
  }
  if (::testing::Test::HasFailure()) {
    std::cerr << "-- control.log\n" << control_->log();
    for (const auto& [node, agent] : agents_) std::cerr << "-- " << node << ".log\n" << agent->log();
  }
  if (options_.docker_plugin) umount2(dir().c_str(), MNT_DETACH);
  setenv("FLOCKER_OWNER", outer_owner_.c_str(), 1);
}

absl::Status TestCluster::Start() {
  RETURN_IF_ERROR(StartControl());
  for (const auto& [node, agent] : agents_) RETURN_IF_ERROR(agent->Start());
  for (const auto& [node, agent] : agents_) {
    if (!Eventually(kStartTimeout, [&, &node = node] { return Connected(node) && TreeAnswers(node); })) {
      return absl::DeadlineExceededError(absl::StrCat("node ", node, " does not come up"));
    }
  }
  return absl::OkStatus();
}

CommandResult TestCluster::ControlOnce(const std::vector<std::string>& flags) {
  std::vector<std::string> argv = control_argv_;
  argv.insert(argv.end(), flags.begin(), flags.end());
  const auto result = RunCommand(argv, kCommandTimeout);
  return result.ok() ? *result : CommandResult{.exit_code = -1, .output = std::string(result.status().message())};
}

absl::Status TestCluster::StartControl() {
  RETURN_IF_ERROR(control_->Start());
  if (!Eventually(kStartTimeout, [&] { return Ctl({"list-nodes"}).exit_code == 0; })) {
    return absl::DeadlineExceededError("flocker-control does not answer");
  }
  return absl::OkStatus();
}

absl::Status TestCluster::StartAgent(const std::string& node) {
  RETURN_IF_ERROR(agent(node).Start());
  if (!Eventually(kStartTimeout, [&] { return Connected(node) && TreeAnswers(node); })) {
    return absl::DeadlineExceededError(absl::StrCat("node ", node, " does not come up"));
  }
  return absl::OkStatus();
}

std::string TestCluster::Path(const std::string& node, const std::string& dataset) const {
  return absl::StrCat(tree(node), "/", node, "/", dataset);
}

std::string TestCluster::NativePath(const std::string& node, const std::string& dataset) {
  const auto row = Find(dataset);
  if (!row) return "";
  std::error_code error;
  const auto link = std::filesystem::read_symlink(absl::StrCat(tree(node), "/", row->id), error);
  return !error && link.is_absolute() ? link.string() : "";
}

CommandResult TestCluster::Ctl(const std::vector<std::string>& args) {
  std::vector<std::string> argv = {Binary("flockerctl"), "--control", absl::StrCat("unix:", scratch_ / "control.sock")};
  argv.insert(argv.end(), args.begin(), args.end());
  auto result = RunCommand(argv, kCommandTimeout);
  return result.ok() ? *std::move(result) : CommandResult{-1, std::string(result.status().message())};
}

std::vector<TestCluster::Row> TestCluster::List() {
  std::map<std::string, std::string> names;  // of nodes, by what SERVER shows of their ids
  for (const std::string& line : Lines(Ctl({"list-nodes"}).output)) {
    const std::vector<std::string> cells = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (cells.size() >= 3) names[cells[0]] = cells[2];
  }
  std::vector<Row> rows;
  for (const std::string& line : Lines(Ctl({"ls"}).output)) {
    const std::vector<std::string> cells = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (cells.size() < 5 || cells[0] == "DATASET") continue;
    rows.push_back({cells[0], cells[1], cells[2], cells[3], names[cells[4]]});
  }
  return rows;
}

std::optional<TestCluster::Row> TestCluster::Find(const std::string& dataset) {
  for (const Row& row : List()) {
    if (row.metadata == absl::StrCat("name=", dataset)) return row;
  }
  return std::nullopt;
}

bool TestCluster::AttachedOn(const std::string& node, const std::string& dataset) {
  const auto row = Find(dataset);
  return row && row->status == "attached" && row->node == node;
}

pid_t TestCluster::LunServer(const std::string& dataset) {
  const auto row = Find(dataset);
  if (!row) return -1;
  for (const std::string& line : Belongings()) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    pid_t pid = -1;
    if (absl::StrContains(line, "/flocker-lun ") && absl::StrContains(line, row->id) &&
        absl::SimpleAtoi(words[1], &pid)) {
      return pid;
    }
  }
  return -1;
}

pid_t TestCluster::TreeDaemon(const std::string& node) const {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = -1;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const auto name = ReadFile(entry.path().string() + "/comm");
    if (!name.ok() || *name != "flocker-fs\n") continue;
    const auto arguments = ReadFile(entry.path().string() + "/cmdline");
    if (arguments.ok() && absl::StrContains(*arguments, tree(node) + std::string(1, '\0'))) return pid;
  }
  return -1;
}

std::vector<std::string> TestCluster::Belongings() const {
  const auto listed = RunCommand({kSweep, "--list", dir()}, absl::Seconds(30));
  return listed.ok() ? Lines(listed->output) : std::vector<std::string>{std::string(listed.status().message())};
}

std::vector<pid_t> TestCluster::Processes(const std::string& node) const {
  std::vector<pid_t> pids = {agents_.at(node)->pid()};
  for (const std::string& line : Belongings()) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    pid_t pid = -1;
    if (absl::StrContains(line, absl::StrCat(" --node ", node, " ")) && absl::SimpleAtoi(words[1], &pid)) {
      pids.push_back(pid);
    }
  }
  return pids;
}

void TestCluster::SignalNode(const std::string& node, int signal) {
  const std::vector<pid_t> pids = Processes(node);
  for (const pid_t pid : pids) kill(pid, signal);
  if (signal != SIGKILL) return;
  agents_.at(node)->Kill();
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return Processes(node).size() == 1; }));
}

std::string TestCluster::Id(const std::string& dataset) {
  std::optional<Row> row;  // a busy machine's control may be late with an answer
  EXPECT_TRUE(Eventually(kStartTimeout, [&] {
    row = Find(dataset);
    return row.has_value();
  })) << dataset;
  return row ? row->id : "";
}

std::string TestCluster::BackingFile(const std::string& dataset) {
  return absl::StrCat(pool_, "/", Id(dataset), ".img");
}

void TestCluster::DestroyAll() {
  if (!control_->running()) return;
  for (const Row& row : List()) {
    const CommandResult destroyed = Ctl({"destroy", "-d", row.id});
    constexpr int kNotFound = 3;  // the test's own destruction of it has come to its end meanwhile
    EXPECT_TRUE(destroyed.exit_code == 0 || destroyed.exit_code == kNotFound) << destroyed.output;
  }
  ExpectNothingHeld();
}

void TestCluster::ExpectNothingHeld() {
  // What a cluster without datasets consists of; anything else of ours was left by a dataset.
  const auto rest = [&] {
    std::vector<std::string> lines;
    for (const std::string& line : Belongings()) {
      const bool part = absl::StrContains(line, "tgtd -f") || absl::StrContains(line, "/flocker-control ") ||
                        absl::StrContains(line, "/flocker-agent ") || absl::StrContains(line, "/flocker-fs ") ||
                        absl::StrContains(line, dir() + "/tree.") || absl::EndsWith(line, " " + pool_) ||
                        absl::EndsWith(line, absl::StrCat(" ", dir(), "/control"));
      if (!part) lines.push_back(line);
    }
    return lines;
  };
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return rest().empty(); })) << "left by datasets that are destroyed:\n"
                                                                             << absl::StrJoin(rest(), "\n");
  if (array_ == nullptr) return;
  const auto sessions = [&] { return array_->Admin({"--lld", "iscsi", "--op", "show", "--mode", "target"}); };
  EXPECT_TRUE(Eventually(absl::Seconds(10),
                         [&] {
                           const auto shown = sessions();
                           return shown.ok() && !absl::StrContains(*shown, "Connection:");
                         }))
      << "iSCSI sessions of datasets that are destroyed:\n"
      << sessions().value_or("tgtadm does not answer");
}

bool TestCluster::Connected(const std::string& node) {
  for (const std::string& line : Lines(Ctl({"list-nodes"}).output)) {
    if (absl::StrContains(line, absl::StrCat(" ", node, " ")) && absl::EndsWith(line, " connected")) return true;
  }
  return false;
}

bool TestCluster::TreeAnswers(const std::string& node) const {
  for (const std::string& other : options_.nodes) {
    struct stat status {};
    if (stat(absl::StrCat(tree(node), "/", other).c_str(), &status) != 0) return false;
  }
  return true;
}

}  // namespace flocker::testing
