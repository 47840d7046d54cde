// flocker-fs: the tree of DESIGN §2 on this machine.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "fusefs/filesystem.h"
#include "fusefs/fuse_operations.h"
#include "fusefs/session.h"

namespace flocker {
namespace {

// How long the end may wait for threads that are in a device.
constexpr absl::Duration kPatience = absl::Seconds(5);

struct Flags {
  std::string node;
  std::string agent;
  std::string mountpoint;
  double attach_timeout = 60;
  double op_timeout = 10;
};

// Blocks until somebody ends the daemon or unmounts the tree.
absl::Status WaitForTheEnd(int signals, int ended) {
  std::array<pollfd, 2> wait = {{{signals, POLLIN, 0}, {ended, POLLIN, 0}}};
  while (poll(wait.data(), wait.size(), -1) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "poll");
  }
  return absl::OkStatus();
}

absl::Status Serve(const Flags& flags) {
  // Before any thread, so that each inherits it: the end is a descriptor, never a signal handler.
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
  if (pthread_sigmask(SIG_BLOCK, &ends, nullptr) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
    return ErrnoStatus(errno, "block signals");
  }
  const unique_fd signals(signalfd(-1, &ends, SFD_CLOEXEC));
  if (!signals) return ErrnoStatus(errno, "signalfd");

  Filesystem::Options options;
  options.node_name = flags.node;
  options.datasets.attach_timeout = absl::Seconds(flags.attach_timeout);
  options.operations.op_timeout = absl::Seconds(flags.op_timeout);
  Filesystem filesystem(options);
  ASSIGN_OR_RETURN(const auto session, Session::Mount(flags.mountpoint, FuseOperations(), filesystem));
  session->Start();

  struct stat root {};
  if (stat(flags.mountpoint.c_str(), &root) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", flags.mountpoint));
  rpc::TreeHello hello;
  hello.set_pid(getpid());
  hello.set_fuse_device(root.st_dev);
  hello.set_mountpoint(flags.mountpoint);
  filesystem.Connect(flags.agent, hello);

  absl::Status waited = WaitForTheEnd(signals.get(), session->ended_fd());
  spdlog::info("unmounting {}", flags.mountpoint);
  session->Stop();
  const bool ended = filesystem.Shutdown(kPatience);
  session->Unmount();
  if (!ended) {
    // Nothing can free a thread that waits for a device; the kernel does when it answers.
    spdlog::warn("threads still wait for a device; leaving without them");
    std::_Exit(EXIT_SUCCESS);
  }
  return waited;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The /flocker tree: serves it as a FUSE filesystem, for the agent of this machine");
  app.set_version_flag("--version", FLOCKER_VERSION);
  app.add_option("--node", flags.node, "this machine's name in the cluster")->required();
  app.add_option("--agent", flags.agent, "the agent's socket for trees, as unix:/path")->required();
  app.add_option("--mountpoint", flags.mountpoint, "an existing directory")->required();
  app.add_option("--attach-timeout", flags.attach_timeout, "seconds that an access waits for an attach")
      ->capture_default_str();
  app.add_option("--op-timeout", flags.op_timeout, "seconds that mkdir, mv and rmdir wait before EINPROGRESS")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  InitLogging("flocker-fs." + flags.node);
  if (const absl::Status status = Serve(flags); !status.ok()) {
    spdlog::critical("{}", std::string(status.message()));
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace flocker

int main(int argc, char** argv) { return flocker::Main(argc, argv); }
