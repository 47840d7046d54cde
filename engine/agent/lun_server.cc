#include "engine/agent/lun_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(10);
constexpr absl::Duration kConnectPause = absl::Milliseconds(2);

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

std::chrono::steady_clock::time_point SteadyDeadline(absl::Duration timeout) {
  return std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(timeout);
}

}  // namespace

LunServer::LunServer(LunPaths paths, Watcher& watcher, Events events)
    : paths_(std::move(paths)), watcher_(watcher), events_(std::move(events)) {}

LunServer::~LunServer() {
  int socket = -1;
  {
    const MutexLock lock(mutex_);
    if (client_) socket = client_->fd();
  }
  if (socket >= 0) watcher_.Remove(socket);
  if (pidfd_) watcher_.Remove(pidfd_.get());
}

absl::StatusOr<std::unique_ptr<LunServer>> LunServer::Start(const LunPaths& paths, Watcher& watcher, Events events) {
  std::unique_ptr<LunServer> server(new LunServer(paths, watcher, std::move(events)));
  const unique_fd file(open(paths.file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return ErrnoStatus(errno, absl::StrCat("cannot create ", paths.file));
  ChildOptions options;
  options.argv = {paths.binary,
                  "--node",
                  paths.node,
                  "--dataset",
                  paths.dataset.str(),
                  "--mount-epoch",
                  absl::StrCat(paths.mount_epoch),
                  "--mountpoint",
                  paths.file,
                  "--socket",
                  paths.socket};
  options.new_session = true;
  ASSIGN_OR_RETURN(Child child, SpawnChild(options));
  server->pid_ = child.pid;
  server->pidfd_ = std::move(child.pidfd);
  if (const absl::Status status = server->Connect(kStartTimeout); !status.ok()) {
    server->Kill();
    return Annotate(status, absl::StrCat("flocker-lun of ", paths.dataset.str(), " does not answer"));
  }
  return server;
}

absl::StatusOr<std::unique_ptr<LunServer>> LunServer::Find(const LunPaths& paths, Watcher& watcher, Events events) {
  std::unique_ptr<LunServer> server(new LunServer(paths, watcher, std::move(events)));
  RETURN_IF_ERROR(server->Connect(absl::ZeroDuration()));
  return server;
}

// Until somebody listens there, the process is gone, or the time is over. `timeout` zero: one try.
absl::Status LunServer::Connect(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    auto client = lun::LunClient::Connect(paths_.socket);
    if (client.ok()) {
      auto hello = client->Receive(absl::Now() + kStartTimeout);
      if (!hello.ok()) return hello.status();
      const auto* status = std::get_if<lun::Hello>(&hello->report);
      if (status == nullptr || status->dataset.view() != paths_.dataset.str() ||
          status->mount_epoch != paths_.mount_epoch) {
        return absl::FailedPreconditionError(absl::StrCat("another LUN's server listens on ", paths_.socket));
      }
      if (!pidfd_) {
        pid_ = status->pid;
        ASSIGN_OR_RETURN(pidfd_, OpenPidfd(status->pid));
      }
      const MutexLock lock(mutex_);
      fuse_ = std::move(hello->fuse);
      arena_ = std::move(hello->arena);
      block_size_ = status->block_size;
      file_ready_ = status->mounted != 0;
      accepts_login_ = status->state == lun::State::kAwaitingLogin || status->state == lun::State::kBroken;
      session_epoch_ = status->state == lun::State::kServing ? status->epoch : 0;
      if (status->state == lun::State::kBroken) lost_epoch_ = status->epoch;
      client_ = *std::move(client);
      break;
    }
    if (absl::Now() >= deadline || (pidfd_ && WaitEnd(pidfd_, absl::ZeroDuration()))) return client.status();
    if (WaitEnd(pidfd_, kConnectPause)) return absl::UnavailableError("it ended at once; see its log");
  }
  int socket = -1;
  {
    const MutexLock lock(mutex_);
    socket = client_->fd();
  }
  watcher_.Add(socket, [this] { OnReadable(); });
  watcher_.Add(pidfd_.get(), [this] {
    watcher_.Remove(pidfd_.get());
    WaitEnd(pidfd_, absl::ZeroDuration());
    bool expected = false;
    {
      const MutexLock lock(mutex_);
      expected = stopped_;
      alive_ = false;
      session_epoch_ = 0;
      changed_.NotifyAll();
    }
    if (!expected) events_.died();
  });
  return absl::OkStatus();
}

void LunServer::OnReadable() {
  while (true) {
    absl::StatusOr<lun::LunClient::Received> received = absl::UnavailableError("");
    {
      const MutexLock lock(mutex_);
      if (!client_) return;
      received = client_->Receive(absl::InfinitePast());
      if (!received.ok()) {
        if (absl::IsDeadlineExceeded(received.status())) return;
        // Closed: the process ends, which the pidfd tells.
        watcher_.Remove(client_->fd());
        client_.reset();
        return;
      }
    }
    Handle(received->report);
  }
}

void LunServer::Handle(const lun::Report& report) {
  std::function<void()> tell;  // run without the lock
  {
    const MutexLock lock(mutex_);
    std::visit(
        Overloaded{
            [&](const lun::Ready& ready) REQUIRES(mutex_) {
              block_size_ = ready.block_size;
              session_epoch_ = ready.epoch;
              lost_epoch_.reset();
              file_ready_ = true;
              tell = [this, epoch = ready.epoch] { events_.resumed(epoch); };
            },
            [&](const lun::SessionLost& lost) REQUIRES(mutex_) {
              session_epoch_ = 0;
              lost_epoch_ = lost.epoch;
              accepts_login_ = true;
              if (pending_ && pending_->epoch > lost.epoch) return SendLogin();
              tell = [this, epoch = lost.epoch, reason = std::string(lost.reason.view())] {
                events_.session_lost(epoch, reason);
              };
            },
            [&](const lun::Resumed& resumed) REQUIRES(mutex_) {
              session_epoch_ = resumed.epoch;
              lost_epoch_.reset();
              tell = [this, resumed] {
                events_.notice("io-resumed", absl::StrCat("after ", resumed.paused_ms, " ms, ", resumed.reissued,
                                                          " requests issued again"));
                events_.resumed(resumed.epoch);
              };
            },
            [&](const lun::WriteFailed& failed) REQUIRES(mutex_) {
              tell = [this, failed] {
                events_.notice("write-paused",
                               absl::StrCat("the array refused a write at byte ", failed.offset, " (sense ",
                                            absl::Hex(failed.sense_key), "/", absl::Hex(failed.sense_ascq),
                                            "), as it does when its pool is full; writes wait: make room there"));
              };
            },
            [&](const lun::IoTimedOut& timed_out) REQUIRES(mutex_) {
              tell = [this, timed_out] {
                events_.notice("io-timeout", absl::StrCat("no session for ", timed_out.paused_ms,
                                                          " ms: ", timed_out.failed, " requests failed with EIO"));
              };
            },
            [&](const lun::Stopped&) REQUIRES(mutex_) { stopped_ = true; },
            [&](const lun::Failed& failed) REQUIRES(mutex_) {
              refusal_ = failed.error != 0 ? ErrnoStatus(failed.error, failed.what.view())
                                           : absl::InternalError(std::string(failed.what.view()));
              // Its session is still up: the array cuts it, and then it asks for this grant.
              if (failed.command == lun::Kind::kLogin) accepts_login_ = false;
            },
            [](const auto&) {},
        },
        report);
    changed_.NotifyAll();
  }
  if (tell) tell();
}

template <class M>
void LunServer::Send(const M& message) {
  const MutexLock lock(mutex_);
  if (!client_) return;  // it ended: its pidfd tells
  if (const absl::Status status = client_->Send(message); !status.ok()) {
    spdlog::warn("flocker-lun of {}: {}", paths_.dataset.str(), std::string(status.message()));
  }
}

void LunServer::Login(const AttachOrder& order) {
  const MutexLock lock(mutex_);
  if (session_epoch_ == order.epoch || (lost_epoch_ && *lost_epoch_ >= order.epoch)) return;
  pending_ = order;
  if (accepts_login_) SendLogin();
}

void LunServer::SendLogin() {
  const AttachOrder& order = *pending_;
  auto login = lun::NewMessage<lun::Login>();
  login.epoch = order.epoch;
  login.lun = order.lun;
  const bool fits = login.portal.Set(order.portal) && login.target.Set(order.target) &&
                    login.initiator.Set(order.initiator) && login.chap_user.Set(order.user) &&
                    login.chap_secret.Set(order.secret);
  refusal_ = absl::OkStatus();
  if (!fits) {
    refusal_ = absl::InvalidArgumentError("a field of the grant is too long for the LUN server");
  } else if (client_) {
    refusal_ = client_->Send(login);
    accepts_login_ = false;
  }
  changed_.NotifyAll();
}

absl::Status LunServer::WaitReady(uint64_t epoch, absl::Duration timeout) {
  const auto deadline = SteadyDeadline(timeout);
  MutexLock lock(mutex_);
  while (true) {
    if (file_ready_ && session_epoch_ >= epoch) return absl::OkStatus();
    if (!alive_) return absl::UnavailableError("flocker-lun ended; see its log");
    if (lost_epoch_ && *lost_epoch_ >= epoch) return absl::UnavailableError("the login failed");
    if (!refusal_.ok()) return refusal_;
    if (!changed_.WaitUntil(lock, deadline)) {
      return absl::DeadlineExceededError(absl::StrCat("no login within ", absl::FormatDuration(timeout)));
    }
  }
}

absl::Status LunServer::Stop(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    {
      const MutexLock lock(mutex_);
      refusal_ = absl::OkStatus();
    }
    Send(lun::NewMessage<lun::Stop>());
    const absl::Status status = WaitStopped(deadline);
    if (status.ok()) break;
    // The kernel tells the server of the loop device's last close a moment after we know of it.
    if (ErrnoOf(status) != EBUSY || absl::Now() >= deadline) return status;
    WaitEnd(pidfd_, kConnectPause);
  }
  for (const std::string& path : {paths_.socket, paths_.file}) unlink(path.c_str());
  return absl::OkStatus();
}

absl::Status LunServer::WaitStopped(absl::Time deadline) {
  const auto until = SteadyDeadline(deadline - absl::Now());
  MutexLock lock(mutex_);
  while (alive_ && refusal_.ok()) {
    if (!changed_.WaitUntil(lock, until)) return absl::DeadlineExceededError("flocker-lun did not end in time");
  }
  return refusal_;
}

void LunServer::Fence() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  Send(lun::NewMessage<lun::Fence>());
}

void LunServer::Kill() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  if (!WaitEnd(pidfd_, kStartTimeout)) {
    spdlog::error("flocker-lun {} of {} does not die", pid_, paths_.dataset.str());
  }
  for (const std::string& path : {paths_.socket, paths_.file}) unlink(path.c_str());
}

void LunServer::SetControlReachable(bool reachable) {
  if (reachable) {
    Send(lun::NewMessage<lun::ControlBack>());
  } else {
    Send(lun::NewMessage<lun::ControlAway>());
  }
}

void LunServer::RetryWrites() {
  auto verdict = lun::NewMessage<lun::Verdict>();
  verdict.retry = 1;
  Send(verdict);
}

bool LunServer::file_ready() const {
  const MutexLock lock(mutex_);
  return file_ready_;
}

uint32_t LunServer::block_size() const {
  const MutexLock lock(mutex_);
  return block_size_;
}

uint64_t LunServer::session_epoch() const {
  const MutexLock lock(mutex_);
  return session_epoch_;
}

std::optional<uint64_t> LunServer::lost_epoch() const {
  const MutexLock lock(mutex_);
  return lost_epoch_;
}

bool LunServer::alive() const {
  const MutexLock lock(mutex_);
  return alive_;
}

}  // namespace flocker
