// flocker-fs: the tree of DESIGN §2 on this machine.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "fusefs/filesystem.h"
#include "fusefs/fuse_device.h"
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
  int fuse_fd = -1;
  int state_fd = -1;
  double attach_timeout = 60;
  double op_timeout = 10;
  bool create_on_bind = true;
};

// What asks for a successor on the same mount.
constexpr int kHandOver = SIGUSR1;

// Blocks until somebody ends the daemon or unmounts the tree. The signal, or 0.
absl::StatusOr<int> WaitForTheEnd(const unique_fd& signals, int ended) {
  std::array<pollfd, 2> wait = {{{signals.get(), POLLIN, 0}, {ended, POLLIN, 0}}};
  while (poll(wait.data(), wait.size(), -1) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "poll");
  }
  if (wait[0].revents == 0) return 0;
  signalfd_siginfo signal{};
  if (read(signals.get(), &signal, sizeof signal) != sizeof signal) return ErrnoStatus(errno, "read the signal");
  return static_cast<int>(signal.ssi_signo);
}

// One that was handed down; it is not for our children.
absl::StatusOr<unique_fd> Inherited(int fd) {
  unique_fd inherited(fd);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return ErrnoStatus(errno, absl::StrCat("descriptor ", fd));
  return inherited;
}

struct Means {
  unique_fd device;
  std::unique_ptr<SavedState> state;
  bool inherited = false;  // from a predecessor on the same mount
};

// An agent that wants to keep the mount hands down /dev/fuse and a memfd: not mounted and empty, or a predecessor's.
absl::StatusOr<Means> Prepare(const Flags& flags) {
  Means means;
  if (flags.fuse_fd < 0 || flags.state_fd < 0) {
    ASSIGN_OR_RETURN(means.device, OpenFuse());
    ASSIGN_OR_RETURN(unique_fd memory, SavedState::NewMemory());
    ASSIGN_OR_RETURN(means.state, SavedState::Create(std::move(memory)));
    return means;
  }
  ASSIGN_OR_RETURN(means.device, Inherited(flags.fuse_fd));
  ASSIGN_OR_RETURN(unique_fd memory, Inherited(flags.state_fd));
  struct stat about {};
  if (fstat(memory.get(), &about) != 0) return ErrnoStatus(errno, "look at the memory that was handed down");
  means.inherited = about.st_size != 0;
  ASSIGN_OR_RETURN(means.state,
                   means.inherited ? SavedState::Inherit(std::move(memory)) : SavedState::Create(std::move(memory)));
  return means;
}

// Tells the agent which tree is served.
absl::Status Greet(const Flags& flags, Filesystem& filesystem) {
  // Without a request to the tree: one that is killed while it waits for an answer of its own does not die, and no
  // successor comes.
  struct statx root {};
  if (statx(AT_FDCWD, flags.mountpoint.c_str(), AT_STATX_DONT_SYNC, 0, &root) != 0) {
    return ErrnoStatus(errno, absl::StrCat("statx ", flags.mountpoint));
  }
  rpc::TreeHello hello;
  hello.set_pid(getpid());
  hello.set_fuse_device(makedev(root.stx_dev_major, root.stx_dev_minor));
  hello.set_mountpoint(flags.mountpoint);
  filesystem.Connect(flags.agent, hello);
  return absl::OkStatus();
}

// Whether this program could go on with the state in that file, which may be in use.
absl::Status Fits(const std::string& path) {
  const unique_fd memory(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return SavedState::CheckThatItFits(memory);
}

absl::Status Serve(const Flags& flags) {
  // Before any thread, so that each inherits it: the end is a descriptor, never a signal handler.
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, kHandOver}) sigaddset(&ends, signal);
  if (pthread_sigmask(SIG_BLOCK, &ends, nullptr) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
    return ErrnoStatus(errno, "block signals");
  }
  const unique_fd signals(signalfd(-1, &ends, SFD_CLOEXEC));
  if (!signals) return ErrnoStatus(errno, "signalfd");

  Filesystem::Options options;
  options.node_name = flags.node;
  options.datasets.attach_timeout = absl::Seconds(flags.attach_timeout);
  options.operations.op_timeout = absl::Seconds(flags.op_timeout);
  options.create_on_bind = flags.create_on_bind;
  ASSIGN_OR_RETURN(Means means, Prepare(flags));
  Filesystem filesystem(options, *means.state);
  std::unique_ptr<Session> session;
  if (means.inherited) {
    ASSIGN_OR_RETURN(session, Session::TakeOver(std::move(means.device), flags.mountpoint, FuseOperations(), filesystem,
                                                *means.state));
    filesystem.TakeUp();
  } else {
    ASSIGN_OR_RETURN(
        session, Session::Mount(std::move(means.device), flags.mountpoint, FuseOperations(), filesystem, *means.state));
  }
  session->Start();

  const absl::Status greeted = Greet(flags, filesystem);
  const absl::StatusOr<int> waited = greeted.ok() ? WaitForTheEnd(signals, session->ended_fd()) : greeted;
  session->Stop();
  if (waited.ok() && *waited == kHandOver) {
    // As a crash, but for what could not be executed again: that is finished first.
    if (!filesystem.in_flight().HandOver(kPatience)) spdlog::warn("requests are still under way; they will fail");
    spdlog::info("handing {} over", flags.mountpoint);
    std::_Exit(EXIT_SUCCESS);
  }
  spdlog::info("unmounting {}", flags.mountpoint);
  const bool ended = filesystem.Shutdown(kPatience);
  session->Unmount();
  if (!ended) {
    // Nothing can free a thread that waits for a device; the kernel does when it answers.
    spdlog::warn("threads still wait for a device; leaving without them");
    std::_Exit(waited.ok() ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  return waited.status();
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return EXIT_SUCCESS;
  spdlog::critical("{}", std::string(status.message()));
  return EXIT_FAILURE;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The /flocker tree: serves it as a FUSE filesystem, for the agent of this machine");
  app.set_version_flag("--version", FLOCKER_VERSION);
  app.add_option("--node", flags.node, "this machine's name in the cluster")->required();
  app.add_option("--agent", flags.agent, "the agent's socket for trees, as unix:/path")->required();
  app.add_option("--mountpoint", flags.mountpoint, "an existing directory")->required();
  app.add_option("--fuse-fd", flags.fuse_fd, "descriptor of /dev/fuse: the mount to go on with, or not mounted yet");
  app.add_option("--state-fd", flags.state_fd, "descriptor of the predecessor's state, or of an empty memfd");
  // Alone, without --mountpoint: by that the agent finds the one that serves.
  app.add_option_function<std::string>(
         "--fits",
         [](const std::string& path) {
           InitLogging("flocker-fs");
           throw CLI::RuntimeError(ExitCode(Fits(path)));
         },
         "says whether it could go on with the state in this file, and ends")
      ->trigger_on_parse();
  app.add_option("--attach-timeout", flags.attach_timeout, "seconds that an access waits for an attach")
      ->capture_default_str();
  app.add_option("--op-timeout", flags.op_timeout, "seconds that mkdir, mv and rmdir wait before EINPROGRESS")
      ->capture_default_str();
  app.add_flag("--create-on-bind,!--no-create-on-bind", flags.create_on_bind,
               "dockerd's mkdir of a bind mount's source makes a dataset (default: yes)");
  CLI11_PARSE(app, argc, argv);
  InitLogging("flocker-fs." + flags.node);
  return ExitCode(Serve(flags));
}

}  // namespace
}  // namespace flocker

int main(int argc, char** argv) { return flocker::Main(argc, argv); }
