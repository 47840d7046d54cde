// flocker-lab: a cluster of machines to play with. `up` leaves a daemon behind (daemon.h); the other commands ask it.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "lab/daemon.h"
#include "lab/terminal.h"

namespace flocker::lab {
namespace {

constexpr absl::Duration kBootTimeout = absl::Minutes(4);

struct Arguments {
  std::string dir;
  ClusterOptions cluster;
  std::string first;
  std::string second;
  std::vector<std::string> words;
  bool one_way = false;
  double loss = 0;
  double delay_ms = 0;
  uint64_t bytes_per_second = 0;
  double seconds = 60;
};

std::string DefaultDir() {
  const char* named = std::getenv("FLOCKER_LAB_DIR");
  return named != nullptr ? named : absl::StrCat("/tmp/flocker-lab.", getuid());
}

int Report(const absl::StatusOr<CommandResult>& result) {
  if (!result.ok()) {
    std::cerr << "flocker-lab: " << result.status().message() << "\n";
    return 1;
  }
  (result->exit_code == 0 ? std::cout : std::cerr) << result->output;
  return result->exit_code;
}

int Up(const Arguments& arguments, const std::string& self) {
  if (Ask(arguments.dir, {{"do", "status"}}, absl::Seconds(30)).ok()) {
    std::cerr << "flocker-lab: a lab is up already; `down` ends it\n";
    return 1;
  }
  const absl::Time start = absl::Now();
  std::error_code ignored;  // what cannot be removed fails the start with its own message
  std::filesystem::remove_all(arguments.dir, ignored);
  absl::Status status = MakeDirectories(arguments.dir, 0700);
  const std::string log = arguments.dir + "/lab.log";
  setenv("FLOCKER_OWNER", arguments.dir.c_str(), 1);  // what scripts/sweep finds leftovers by
  ChildOptions options;
  options.argv = {self, "--dir", arguments.dir, "serve", "--nodes", absl::StrCat(arguments.cluster.nodes)};
  options.argv.insert(options.argv.end(), {"--kernel", arguments.cluster.kernel});
  if (arguments.cluster.docker) options.argv.push_back("--docker");
  if (arguments.cluster.control_apart) options.argv.push_back("--control-apart");
  if (arguments.cluster.systemd) options.argv.push_back("--systemd");
  options.new_session = true;
  const unique_fd output(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  options.output_fd = output.get();
  auto daemon = status.ok() ? SpawnChild(options) : status;
  if (!daemon.ok()) return Report(daemon.status());
  // The daemon listens once the machines are started; then it is asked whether they have become a cluster.
  absl::StatusOr<CommandResult> ready = absl::UnavailableError("");
  while (!ready.ok() && !WaitEnd(daemon->pidfd, absl::Milliseconds(20))) {
    ready = Ask(arguments.dir, {{"do", "ready"}}, kBootTimeout);
  }
  if (!ready.ok() || ready->exit_code != 0) {
    std::cerr << ReadFile(log).value_or("");
    return Report(ready.ok() ? ready : absl::InternalError(absl::StrCat("the lab ended; see ", arguments.dir)));
  }
  std::cout << "up after " << absl::FormatDuration(absl::Trunc(absl::Now() - start, absl::Milliseconds(100)))
            << ". Try: scripts/lab shell node1, then mkdir /flocker/node1/x\n";
  return 0;
}

int Down(const std::string& dir) {
  const int code = Report(Ask(dir, {{"do", "down"}}, absl::Minutes(2)));
  if (code != 0) return code;
  // It removes the directory last.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (access(dir.c_str(), F_OK) == 0) {
    if (absl::Now() > deadline) return Report(absl::DeadlineExceededError("the lab does not end"));
    absl::SleepFor(absl::Milliseconds(20));
  }
  return 0;
}

int ServeHere(const Arguments& arguments, const std::string& binaries) {
  const absl::Status status = Serve(arguments.dir, binaries, arguments.cluster);
  if (!status.ok()) {
    std::cerr << "flocker-lab: " << status.message() << "\n";  // into the log; what it wrote is kept for a look
    return 1;
  }
  std::error_code error;
  std::filesystem::remove_all(arguments.dir, error);
  return error ? 1 : 0;
}

int Shell(const Arguments& arguments) {
  if (!arguments.words.empty()) {
    return Report(Ask(arguments.dir,
                      {{"do", "run"},
                       {"first", arguments.first},
                       {"second", absl::StrJoin(arguments.words, " ")},
                       {"seconds", arguments.seconds}},
                      absl::Seconds(arguments.seconds + 60)));
  }
  return Report([&]() -> absl::StatusOr<CommandResult> {
    RETURN_IF_ERROR(AttachTerminal(absl::StrCat(arguments.dir, "/", arguments.first, "/console.sock")));
    return CommandResult{};
  }());
}

void AddClusterOptions(CLI::App& command, ClusterOptions& options) {
  command.add_option("--nodes", options.nodes, "how many nodes")->capture_default_str()->check(CLI::Range(1, 20));
  command.add_flag("--docker", options.docker, "with dockerd on the nodes");
  command.add_flag("--control-apart", options.control_apart, "control on a machine of its own");
  command.add_flag("--systemd", options.systemd, "systemd on the nodes, with the agent as its service");
  command.add_option("--kernel", options.kernel, "the nodes' kernel")
      ->capture_default_str()
      ->check(CLI::IsMember({"release", "backports"}));
}

int Main(int argc, char** argv) {
  CLI::App app("flocker-lab: a Flocker cluster of machines in QEMU, to play with");
  Arguments arguments;
  arguments.dir = DefaultDir();
  app.add_option("--dir", arguments.dir, "where the lab lives; $FLOCKER_LAB_DIR")->capture_default_str();
  app.require_subcommand(1);
  int code = 0;
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();

  const auto add = [&](const std::string& name, const std::string& help, std::function<int()> run) {
    CLI::App* command = app.add_subcommand(name, help);
    command->callback([&code, run = std::move(run)] { code = run(); });
    return command;
  };
  // Sends the command with the arguments that it has.
  const auto ask = [&](const std::string& name) {
    return [&, name] {
      return Report(Ask(arguments.dir,
                        {{"do", name},
                         {"first", arguments.first},
                         {"second", arguments.second},
                         {"one-way", arguments.one_way},
                         {"loss", arguments.loss},
                         {"delay-ms", arguments.delay_ms},
                         {"bytes-per-second", arguments.bytes_per_second}},
                        absl::Minutes(5)));
    };
  };
  AddClusterOptions(*add("up", "starts a cluster", [&] { return Up(arguments, self); }), arguments.cluster);
  AddClusterOptions(*add("serve", "the daemon behind `up`",
                         [&] { return ServeHere(arguments, std::filesystem::path(self).parent_path().string()); })
                         ->group(""),
                    arguments.cluster);
  add("down", "ends it and removes its data", [&] { return Down(arguments.dir); });
  add("status", "machines, links that are not whole, nodes, datasets", ask("status"));
  CLI::App* shell = app.add_subcommand("shell", "a root shell, or runs the command that follows the machine");
  shell->add_option("machine", arguments.first)->required();
  shell->add_option("--seconds", arguments.seconds, "after which a command is killed")->capture_default_str();
  shell->prefix_command();
  // Not an option of its own: CLI11 would take "[[ … ]]" for a list.
  shell->callback([&, shell] {
    arguments.words = shell->remaining();
    code = Shell(arguments);
  });
  for (const auto& [name, help] :
       {std::pair{"cut", "no frame goes between two machines or cards (node1 array.storage)"},
        std::pair{"slow", "loss, delay, bandwidth between two machines or cards"}}) {
    CLI::App* command = add(name, help, ask(name));
    command->add_option("first", arguments.first)->required();
    command->add_option("second", arguments.second)->required();
    command->add_flag("--one-way", arguments.one_way, "only from the first to the second");
    if (std::string(name) == "cut") continue;
    command->add_option("--loss", arguments.loss, "share of frames that vanish, 0 to 1");
    command->add_option("--delay-ms", arguments.delay_ms, "added to each frame");
    command->add_option("--bytes-per-second", arguments.bytes_per_second, "0: unlimited");
  }
  CLI::App* heal = add("heal", "all links whole again, or those between two", ask("heal"));
  heal->add_option("first", arguments.first);
  heal->add_option("second", arguments.second);
  for (const auto& [name, help] :
       {std::pair{"pause", "stops its CPUs"}, std::pair{"resume", "lets them run again"},
        std::pair{"power-cut", "pulls the plug: what was not flushed is lost"},
        std::pair{"reset", "presses the reset button"}, std::pair{"shutdown", "as by its own command"},
        std::pair{"boot", "starts it again"}}) {
    add(name, help, ask(name))->add_option("machine", arguments.first)->required();
  }
  CLI11_PARSE(app, argc, argv);
  return code;
}

}  // namespace
}  // namespace flocker::lab

int main(int argc, char** argv) { return flocker::lab::Main(argc, argv); }
