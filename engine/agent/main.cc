// flocker-agent: attaches, formats, mounts and releases this node's datasets, and keeps its tree running.
#include <CLI/CLI.hpp>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

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
