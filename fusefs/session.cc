#include "fusefs/session.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fusefs/receive_buffer.h"

namespace flocker {
namespace {

// No default_permissions: the daemon decides for the tree, ext4 for what is inside.
constexpr char kOptions[] = "allow_other,fsname=flocker,subtype=flocker";

struct FreeArguments {
  void operator()(fuse_args* arguments) const { fuse_opt_free_args(arguments); }
};

void Signal(const unique_fd& event) {
  const uint64_t one = 1;
  if (write(event.get(), &one, sizeof one) != sizeof one) spdlog::error("eventfd: {}", std::strerror(errno));
}

// A flocker-fs that was killed leaves a mount that answers ENOTCONN.
absl::Status ClearDeadMount(const std::string& mountpoint) {
  struct stat attributes {};
  if (stat(mountpoint.c_str(), &attributes) == 0 || errno != ENOTCONN) return absl::OkStatus();
  spdlog::warn("unmounting what a dead flocker-fs left at {}", mountpoint);
  if (umount2(mountpoint.c_str(), MNT_DETACH) != 0) {
    return ErrnoStatus(errno, absl::StrCat("unmount the dead tree at ", mountpoint));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Mount(const std::string& mountpoint, const fuse_lowlevel_ops& ops,
                                                        InterruptListener& listener) {
  RETURN_IF_ERROR(ClearDeadMount(mountpoint));
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  const std::unique_ptr<fuse_args, FreeArguments> owned(&arguments);
  if (fuse_opt_add_arg(&arguments, "flocker-fs") != 0 || fuse_opt_add_arg(&arguments, "-o") != 0 ||
      fuse_opt_add_arg(&arguments, kOptions) != 0) {
    return absl::ResourceExhaustedError("no memory for FUSE's arguments");
  }
  std::unique_ptr<fuse_session, Destroy> session(fuse_session_new(&arguments, &ops, sizeof ops, &listener));
  if (session == nullptr) return absl::InternalError("libfuse makes no session; it says why above");
  unique_fd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  unique_fd ended(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop || !ended) return ErrnoStatus(errno, "eventfd");
  if (fuse_session_mount(session.get(), mountpoint.c_str()) != 0) {
    return absl::InternalError(absl::StrCat("cannot mount the tree at ", mountpoint,
                                            "; libfuse says why above. It needs "
                                            "root, /dev/fuse and an existing directory"));
  }
  const int device = fuse_session_fd(session.get());
  if (fcntl(device, F_SETFL, fcntl(device, F_GETFL) | O_NONBLOCK) != 0) return ErrnoStatus(errno, "/dev/fuse");
  return std::unique_ptr<Session>(new Session(std::move(session), std::move(stop), std::move(ended)));
}

Session::Session(std::unique_ptr<fuse_session, Destroy> session, unique_fd stop, unique_fd ended)
    : session_(std::move(session)), stop_(std::move(stop)), ended_(std::move(ended)) {}

Session::~Session() { Stop(); }

void Session::Start() {
  for (int i = 0; i < kReceivers; ++i) receivers_.emplace_back([this] { Receive(); });
}

void Session::Stop() {
  fuse_session_unmount(session_.get());
  Signal(stop_);
  for (std::thread& receiver : receivers_) receiver.join();
  receivers_.clear();
}

void Session::Receive() {
  ReceiveBuffer buffer;
  std::array<pollfd, 2> wait = {{{fuse_session_fd(session_.get()), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (!fuse_session_exited(session_.get())) {
    const int received = fuse_session_receive_buf(session_.get(), buffer.get());
    if (received > 0) {
      fuse_session_process_buf(session_.get(), buffer.get());
      continue;
    }
    if (received == 0) break;  // unmounted
    if (received != -EAGAIN && received != -EINTR) {
      spdlog::error("/dev/fuse: {}", std::strerror(-received));
      break;
    }
    if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) break;
    if (wait[1].revents != 0) return;
  }
  Signal(ended_);
}

}  // namespace flocker
