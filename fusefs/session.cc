#include "fusefs/session.h"

#include <linux/fuse.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/mount.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fusefs/credentials.h"
#include "fusefs/fuse_device.h"
#include "fusefs/newer_requests.h"
#include "fusefs/worker_pool.h"

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

absl::StatusOr<std::unique_ptr<Session>> Session::Make(unique_fd device, const std::string& mountpoint,
                                                       const fuse_lowlevel_ops& ops, SessionOwner& owner,
                                                       SavedState& state) {
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  const std::unique_ptr<fuse_args, FreeArguments> owned(&arguments);
  if (fuse_opt_add_arg(&arguments, "flocker-fs") != 0) return absl::ResourceExhaustedError("no memory for a session");
  std::unique_ptr<fuse_session, Destroy> session(fuse_session_new(&arguments, &ops, sizeof ops, &owner));
  if (session == nullptr) return absl::InternalError("libfuse makes no session; it says why above");
  unique_fd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  unique_fd ended(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop || !ended) return ErrnoStatus(errno, "eventfd");
  auto made = std::make_unique<Session>(MadeHere(), mountpoint, std::move(session), std::move(stop), std::move(ended),
                                        owner, state);
  // The session closes the descriptor when it is destroyed.
  if (fuse_session_custom_io(made->session_.get(), &DeviceIo(), device.release()) != 0) {
    return absl::InternalError("libfuse does not take our I/O; it says why above");
  }
  return made;
}

absl::StatusOr<std::unique_ptr<Session>> Session::Mount(unique_fd device, const std::string& mountpoint,
                                                        const fuse_lowlevel_ops& ops, SessionOwner& owner,
                                                        SavedState& state) {
  RETURN_IF_ERROR(MountFuse(device, mountpoint));
  return Make(std::move(device), mountpoint, ops, owner, state);
}

absl::StatusOr<std::unique_ptr<Session>> Session::TakeOver(unique_fd device, const std::string& mountpoint,
                                                           const fuse_lowlevel_ops& ops, SessionOwner& owner,
                                                           SavedState& state) {
  // fuse_dev_poll: an error before the mount and after its end, nothing else.
  pollfd ready{device.get(), POLLIN, 0};
  if (poll(&ready, 1, 0) < 0) return ErrnoStatus(errno, "poll /dev/fuse");
  if ((ready.revents & (POLLERR | POLLNVAL)) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("the tree that was mounted at ", mountpoint, " is gone"));
  }
  return Make(std::move(device), mountpoint, ops, owner, state);
}

Session::Session(MadeHere, std::string mountpoint, std::unique_ptr<fuse_session, Destroy> session, unique_fd stop,
                 unique_fd ended, SessionOwner& owner, SavedState& state)
    : mountpoint_(std::move(mountpoint)),
      session_(std::move(session)),
      stop_(std::move(stop)),
      ended_(std::move(ended)),
      in_flight_(owner.in_flight()),
      state_(state) {}

Session::~Session() {
  Stop();
  Unmount();
}

void Session::Start() {
  GoOn();
  for (int i = 0; i < kReceivers; ++i) {
    {
      const MutexLock lock(receivers_->mutex);
      ++receivers_->receiving;
    }
    std::thread([this, receivers = receivers_] {
      if (Receive(*receivers)) receivers->End();
    }).detach();
  }
}

void Session::Stop() {
  receivers_->stopping = true;
  Signal(stop_);
  in_flight_.Stop();
  MutexLock lock(receivers_->mutex);
  while (receivers_->receiving > 0) receivers_->changed.Wait(lock);
}

bool Session::Receivers::Leave() {
  const MutexLock lock(mutex);
  if (receiving == 1) return false;
  --receiving;
  return true;
}

bool Session::Receivers::Return() {
  const MutexLock lock(mutex);
  if (stopping) return false;
  ++receiving;
  return true;
}

void Session::Receivers::End() {
  const MutexLock lock(mutex);
  --receiving;
  changed.NotifyAll();
}

void Session::Unmount() {
  if (!std::exchange(mounted_, false)) return;
  // Lazily: whoever is inside gets errors once the descriptor is closed.
  if (umount2(mountpoint_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL) {
    spdlog::error("cannot unmount {}: {}", mountpoint_, std::strerror(errno));
  }
}

void Session::Process(std::span<std::byte> request) {
  fuse_buf buffer{};
  buffer.mem = request.data();
  buffer.size = request.size();
  const InitWatch watch(buffer);
  const TranslateNewer translated(buffer);
  fuse_session_process_buf(session_.get(), &buffer);
}

void Session::Process(const InFlight::Received& received) {
  fuse_in_header header;
  std::memcpy(&header, received.bytes.data(), sizeof header);
  if (header.opcode == FUSE_INIT) {
    if (const absl::Status saved = state_.SaveInit(received.bytes); !saved.ok()) {
      spdlog::error("nobody can take this mount over: {}", std::string(saved.message()));
    }
  }
  const InFlight::Processing processing(in_flight_, received);
  Process(received.bytes);
}

// Before anything new is read, so that whoever was interrupted before is so again, and hears nothing out of turn.
void Session::GoOn() {
  if (!state_.init().empty()) {
    // As it was, so that libfuse knows what was agreed on. Its answer is refused by the kernel, which has had one.
    std::vector<std::byte> init(state_.init().begin(), state_.init().end());
    Process(init);
  }
  const std::vector<size_t> unfinished = in_flight_.Unfinished();
  if (!unfinished.empty()) spdlog::info("{} requests of the predecessor's are unfinished", unfinished.size());
  for (const size_t slot : unfinished) {
    const bool interrupted = in_flight_.interrupted(slot);
    const uint64_t unique = in_flight_.unique(slot);
    const auto again = in_flight_.Again(slot);
    if (!again) {
      in_flight_.Finish(device(), slot);
      continue;
    }
    Process(*again);
    if (!again->slot) in_flight_.Finish(device(), slot);
    if (!interrupted) continue;
    struct {
      fuse_in_header header;
      fuse_interrupt_in whom;
    } interrupt{};
    interrupt.header.len = sizeof interrupt;
    interrupt.header.opcode = FUSE_INTERRUPT;
    interrupt.header.unique = unique | 1;  // as the kernel numbers them (fs/fuse/dev.c, FUSE_INT_REQ_BIT)
    interrupt.whom.unique = unique;
    Process(std::as_writable_bytes(std::span(&interrupt, 1)));
  }
}

bool Session::Receive(Receivers& receivers) {
  if (const absl::Status prepared = PrepareThread(); !prepared.ok()) {
    spdlog::critical("{}", std::string(prepared.message()));
    std::abort();  // as a worker thread
  }
  size_t offered = in_flight_.Offer();
  std::array<pollfd, 2> wait = {{{device(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  std::span<std::byte> room = in_flight_.Room(offered);
  while (fuse_session_exited(session_.get()) == 0) {
    const ssize_t got = read(device(), room.data(), room.size());
    if (got > 0) {
      const auto received = in_flight_.Deliver(offered, static_cast<size_t>(got));
      if (!received) return true;  // told to stop
      {
        WorkerPool::Kept task;
        Process(*received);
        pollfd more{device(), POLLIN, 0};
        if (task.any() && poll(&more, 1, 0) == 0 && receivers.Leave()) {
          task.Run();
          if (!receivers.Return()) return false;
        }
      }
      if (receivers.stopping) return true;
      room = in_flight_.Room(offered);
      continue;
    }
    if (errno == ENODEV) break;               // unmounted
    if (errno == EINTR || errno == ENOENT) {  // ENOENT: its caller was interrupted before it was handed out (fuse(4))
      room = in_flight_.Room(offered);
      continue;
    }
    if (errno != EAGAIN) {
      spdlog::error("/dev/fuse: {}", std::strerror(errno));
      break;
    }
    if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) break;
    if (wait[1].revents != 0) return true;
  }
  Signal(ended_);
  return true;
}

}  // namespace flocker
