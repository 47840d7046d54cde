// flocker-agent: attaches, formats, mounts and releases this node's datasets, and keeps its tree running.
#include <CLI/CLI.hpp>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/agent/agent.h"
#include "engine/base/file.h"
#include "engine/base/log.h"

int main(int argc, char** argv) {
  CLI::App app("flocker-agent: one node's part of the cluster");
  flocker::AgentConfig config;
  app.set_version_flag("--version", FLOCKER_VERSION);
  app.add_option("--name", config.name, "this node's name")->required();
  app.add_option("--root", config.root, "directory of this agent's state and mounts")->required();
  app.add_option("--control", config.control, "where flocker-control listens: host:port or unix:/path")->required();
  app.add_option("--tree", config.tree, "mountpoint of the tree")->required();
  app.add_option("--address", config.address, "this node's address")->default_val("127.0.0.1");
  auto* certificates = app.add_option("--certificates", config.transport.certificates,
                                      "directory of cluster.crt, node.crt and node.key (/etc/flocker), for a control "
                                      "on another machine");
  app.add_flag("--insecure", config.transport.insecure, "speak to it without certificates")->excludes(certificates);
  double reconcile = 60;
  app.add_option("--reconcile-interval", reconcile, "seconds between comparisons of this machine with what is held")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  config.reconcile_interval = absl::Seconds(reconcile);

  flocker::InitLogging("flocker-agent." + config.name);
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
  const auto agent = flocker::Agent::Start(config);
  if (!agent.ok()) {
    spdlog::critical("{}", std::string(agent.status().message()));
    return 1;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("ending on signal {}; mounts, LUN servers and the tree go on", signal);
  // Nothing is wound up: what is on disk and on the machine is what the next agent takes over, as after a crash.
  std::_Exit(0);
}
