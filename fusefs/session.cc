#include "fusefs/session.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/mount.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/status.h"
#include "fusefs/fuse_device.h"
#include "fusefs/newer_requests.h"
#include "fusefs/receive_buffer.h"

namespace flocker {
namespace {

struct FreeArguments {
  void operator()(fuse_args* arguments) const { fuse_opt_free_args(arguments); }
};

void Signal(const unique_fd& event) {
  const uint64_t one = 1;
  if (write(event.get(), &one, sizeof one) != sizeof one) spdlog::error("eventfd: {}", std::strerror(errno));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Mount(const std::string& mountpoint, const fuse_lowlevel_ops& ops,
                                                        InterruptListener& listener) {
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  const std::unique_ptr<fuse_args, FreeArguments> owned(&arguments);
  if (fuse_opt_add_arg(&arguments, "flocker-fs") != 0) return absl::ResourceExhaustedError("no memory for a session");
  std::unique_ptr<fuse_session, Destroy> session(fuse_session_new(&arguments, &ops, sizeof ops, &listener));
  if (session == nullptr) return absl::InternalError("libfuse makes no session; it says why above");
  unique_fd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  unique_fd ended(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop || !ended) return ErrnoStatus(errno, "eventfd");
  ASSIGN_OR_RETURN(unique_fd device, MountFuse(mountpoint));
  auto mounted =
      std::make_unique<Session>(MountOnly(), mountpoint, std::move(session), std::move(stop), std::move(ended));
  // The session closes the descriptor when it is destroyed.
  if (fuse_session_custom_io(mounted->session_.get(), &DeviceIo(), device.release()) != 0) {
    return absl::InternalError("libfuse does not take our I/O; it says why above");
  }
  return mounted;
}

Session::Session(MountOnly, std::string mountpoint, std::unique_ptr<fuse_session, Destroy> session, unique_fd stop,
                 unique_fd ended)
    : mountpoint_(std::move(mountpoint)),
      session_(std::move(session)),
      stop_(std::move(stop)),
      ended_(std::move(ended)) {}

Session::~Session() {
  Stop();
  Unmount();
}

void Session::Start() {
  for (int i = 0; i < kReceivers; ++i) receivers_.emplace_back([this] { Receive(); });
}

void Session::Stop() {
  Signal(stop_);
  for (std::thread& receiver : receivers_) receiver.join();
  receivers_.clear();
}

void Session::Unmount() {
  if (!std::exchange(mounted_, false)) return;
  // Lazily: whoever is inside gets errors once the descriptor is closed.
  if (umount2(mountpoint_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL) {
    spdlog::error("cannot unmount {}: {}", mountpoint_, std::strerror(errno));
  }
}

void Session::Receive() {
  ReceiveBuffer buffer;
  std::array<pollfd, 2> wait = {{{fuse_session_fd(session_.get()), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (!fuse_session_exited(session_.get())) {
    const int received = fuse_session_receive_buf(session_.get(), buffer.get());
    if (received > 0) {
      const InitWatch watch(*buffer.get());
      const TranslateNewer translated(*buffer.get());
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
