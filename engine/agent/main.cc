// flocker-agent: attaches, formats, mounts and releases this node's datasets, and keeps its tree running.
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "engine/agent/agent.h"
#include "engine/agent/agent_yml.h"
#include "engine/agent/node_identity.h"
#include "engine/base/core_dump.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

namespace {

// EX_CONFIG of sysexits.h: the unit does not start it again before somebody has done something about it.
constexpr int kNotConfigured = 78;

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size()) == 0 ? name.data() : "";
}

// Containers would not see what is mounted in a namespace of the agent's own. Where that cannot be told, it is not one.
bool InMountNamespaceOfItsOwn() {
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/ns/mnt", error);
  const auto first = std::filesystem::read_symlink("/proc/1/ns/mnt", error);
  return !error && own != first;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("flocker-agent: one node's part of the cluster");
  flocker::AgentConfig config;
  app.set_version_flag("--version", FLOCKER_VERSION);
  app.add_option("--name", config.name, "this node's name; the host's if not given");
  app.add_option("--root", config.root, "directory of this agent's state and mounts")->capture_default_str();
  app.add_option("--control", config.control, "where flocker-control listens: host:port or unix:/path")->required();
  app.add_option("--tree", config.tree, "mountpoint of the tree")->capture_default_str();
  app.add_option("--address", config.address, "this node's address; if not given, the one it has towards control");
  app.add_option("--backend", config.backend,
                 "what datasets are, or nothing is attached: iscsi, or loopback, files of this machine; if not given, "
                 "what control says")
      ->check([](const std::string& backend) {
        return backend == "iscsi" || backend == "loopback" ? "" : "the backends are iscsi and loopback, not " + backend;
      });
  app.add_option("--certificates", config.transport.certificates,
                 "directory of cluster.crt, node.crt and node.key, for a control at host:port")
      ->capture_default_str();
  app.add_flag("--insecure", config.transport.insecure, "use no certificates, whoever says that it is control");
  double reconcile = 60;
  app.add_option("--reconcile-interval", reconcile, "seconds between comparisons of this machine with what is held")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--create-on-bind,!--no-create-on-bind", config.create_on_bind,
               "a `docker run -v` of a path in the tree that is not there makes a dataset (default: yes)");
  app.add_option("--docker-socket", config.docker_sockets,
                 "where Docker's volume plugin listens, for example /run/docker/plugins/flocker.sock; may be repeated");
  std::vector<std::string> profiles;
  app.add_option("--docker-profile", profiles, "size of the volumes of a profile, as in gold=200G; may be repeated");
  app.add_option("--metrics", config.metrics,
                 "host:port that serves monitors /metrics, /healthz and /readyz; nowhere if not given");
  flocker::UseConfigFile(app, argc == 1 ? flocker::kAgentYml : "", flocker::AgentYmlSections());
  CLI11_PARSE(app, argc, argv);
  for (const std::string& text : profiles) {
    const auto profile = flocker::docker::ParseProfile(text);
    if (!profile.ok()) {
      std::cerr << "flocker-agent: --docker-profile: " << profile.status().message() << "\n";
      return 2;
    }
    config.docker_profiles[profile->first] = profile->second;
  }
  config.reconcile_interval = absl::Seconds(reconcile);
  if (config.name.empty()) config.name = HostName();

  flocker::InitLogging("flocker-agent." + config.name);
  if (const absl::Status forbidden = flocker::ForbidCoreDumps(); !forbidden.ok()) {
    spdlog::critical("{}", std::string(forbidden.message()));
    return 1;
  }
  if (InMountNamespaceOfItsOwn()) {
    spdlog::critical(
        "this is not the mount namespace of process 1, so containers would not see any dataset: start it outside "
        "of containers, and without Private…, Protect… or …Paths= in its unit");
    return 1;
  }
  std::error_code error;
  config.binaries = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
  const absl::Status made = flocker::MakeDirectories(config.root, 0711);
  config.root = std::filesystem::canonical(config.root, error).string();
  if (!made.ok() || error) {
    spdlog::critical("{}: {}", config.root, made.ok() ? error.message() : std::string(made.message()));
    return 1;
  }

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (const absl::Status identified = flocker::SettleNodeId(config.root, config.control, config.transport);
      !identified.ok()) {
    spdlog::critical("{}", std::string(identified.message()));
    return kNotConfigured;
  }
  const auto agent = flocker::Agent::Start(config);
  if (!agent.ok()) {
    spdlog::critical("{}", std::string(agent.status().message()));
    return 1;
  }
  sd_notify(0, "READY=1");  // does nothing where nobody started it who wants to know
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("ending on signal {}; mounts, LUN servers and the tree go on", signal);
  // Nothing is wound up: what is on disk and on the machine is what the next agent takes over, as after a crash.
  std::_Exit(0);
}
