#include "engine/agent/lun_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr absl::Duration kStartTimeout = absl::Seconds(10);
// What a server that an earlier agent started, and that has a file to lose, may take to answer before it counts as
// paused. Nobody waits for it any longer than that: it is taken on as it is.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(1);
constexpr absl::Duration kRepeatPause = absl::Milliseconds(2);
// A process that lived so short a time is followed at the next tick, lest one that cannot live is started in a storm.
constexpr auto kShortLife = std::chrono::milliseconds(100);
constexpr auto kGiveUp = std::chrono::seconds(90);
// What a child of ours finds its descriptors by.
constexpr int kAgentFd = 3;
constexpr int kFuseFd = 4;
constexpr int kArenaFd = 5;

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

bool IsMounted(const std::string& file) {
  const auto mount = FindMount(file);
  return mount.ok() && mount->has_value();
}

SteadyClock::time_point SteadyDeadline(absl::Duration timeout) {
  return SteadyClock::now() + absl::ToChronoMilliseconds(timeout);
}

}  // namespace

LunServer::LunServer(LunPaths paths, Watcher& watcher, DescriptorStore& store, Events events)
    : paths_(std::move(paths)), watcher_(watcher), store_(store), events_(std::move(events)) {}

LunServer::~LunServer() {
  std::shared_ptr<const Process> process;
  std::optional<lun::LunClient> client;  // open until it is not watched any more: its number may be another's then
  {
    const MutexLock lock(mutex_);
    stopping_ = true;  // no successor from here on
    process = process_;
    client.swap(client_);
  }
  if (client) watcher_.Remove(client->fd());
  if (process != nullptr) watcher_.Remove(process->pidfd.get());
}

absl::StatusOr<std::unique_ptr<LunServer>> LunServer::Start(const LunPaths& paths, Watcher& watcher,
                                                            DescriptorStore& store, Events events) {
  std::unique_ptr<LunServer> server(new LunServer(paths, watcher, store, std::move(events)));
  const unique_fd file(open(paths.file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return ErrnoStatus(errno, absl::StrCat("cannot create ", paths.file));
  const absl::Status started = server->SpawnAndWait();
  if (!started.ok()) server->RemoveNames();
  RETURN_IF_ERROR(started);
  return server;
}

absl::StatusOr<std::unique_ptr<LunServer>> LunServer::Revive(const LunPaths& paths, Watcher& watcher,
                                                             DescriptorStore& store, KeptDescriptors lent,
                                                             Events events) {
  ASSIGN_OR_RETURN(const auto mount, FindMount(paths.file));
  if (!mount) return absl::FailedPreconditionError(absl::StrCat(paths.file, " is mounted no more"));
  std::unique_ptr<LunServer> server(new LunServer(paths, watcher, store, std::move(events)));
  {
    const MutexLock lock(server->mutex_);
    server->fuse_ = std::move(lent.fuse);
    server->arena_ = std::move(lent.memory);
    server->control_reachable_ = false;
  }
  RETURN_IF_ERROR(server->SpawnAndWait());
  return server;
}

void LunServer::Lend(KeptDescriptors lent) {
  const MutexLock lock(mutex_);
  if (fuse_ || arena_) return;
  fuse_ = std::move(lent.fuse);
  arena_ = std::move(lent.memory);
}

absl::Status LunServer::SpawnAndWait() {
  {
    const MutexLock lock(mutex_);
    RETURN_IF_ERROR(Spawn());
  }
  absl::Status status = WaitHello();
  if (status.ok()) return status;
  End();
  return Annotate(status, absl::StrCat("flocker-lun of ", paths_.dataset.str(), " does not answer"));
}

absl::StatusOr<std::unique_ptr<LunServer>> LunServer::Find(const LunPaths& paths, Watcher& watcher,
                                                           DescriptorStore& store, Events events) {
  std::unique_ptr<LunServer> server(new LunServer(paths, watcher, store, std::move(events)));
  {
    const MutexLock lock(server->mutex_);
    server->control_reachable_ = false;
  }
  RETURN_IF_ERROR(server->Connect());
  return server;
}

absl::Status LunServer::Connect() {
  ASSIGN_OR_RETURN(lun::LunClient client, lun::LunClient::Connect(paths_.socket));
  ASSIGN_OR_RETURN(const pid_t pid, client.Server());
  ASSIGN_OR_RETURN(unique_fd pidfd, OpenPidfd(pid));
  const bool mounted = IsMounted(paths_.file);
  auto received = client.Receive(SteadyNow() + (mounted ? kAnswerTimeout : kStartTimeout));
  const bool paused = mounted && absl::IsDeadlineExceeded(received.status());
  if (!paused && !received.ok()) return received.status();
  if (!paused) {
    const auto* hello = std::get_if<lun::Hello>(&received->report);
    if (hello == nullptr || hello->dataset.view() != paths_.dataset.str() || hello->mount_epoch != paths_.mount_epoch) {
      return absl::FailedPreconditionError(absl::StrCat("another LUN's server listens on ", paths_.socket));
    }
  }
  const MutexLock lock(mutex_);
  process_ = std::make_shared<Process>(Process{pid, std::move(pidfd), std::nullopt});
  client_ = std::move(client);
  if (paused) {
    spdlog::warn("{}: its flocker-lun {} does not answer; its attachment waits for it", paths_.dataset.str(), pid);
    file_ready_ = true;
  } else {
    fuse_ = std::move(received->fuse);
    arena_ = std::move(received->arena);
    HandleHello(std::get<lun::Hello>(received->report));
  }
  Watch();
  return absl::OkStatus();
}

absl::Status LunServer::Spawn() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return ErrnoStatus(errno, "cannot make a socket pair for flocker-lun");
  }
  unique_fd ours(ends[0]);
  const unique_fd theirs(ends[1]);
  ChildOptions options;
  options.argv = {paths_.binary,
                  "--node",
                  paths_.node,
                  "--dataset",
                  paths_.dataset.str(),
                  "--mount-epoch",
                  absl::StrCat(paths_.mount_epoch),
                  "--mountpoint",
                  paths_.file,
                  "--socket",
                  paths_.socket,
                  "--agent-fd",
                  absl::StrCat(kAgentFd)};
  options.keep = {{theirs.get(), kAgentFd}};
  if (fuse_) {
    options.argv.insert(options.argv.end(), {"--fuse-fd", absl::StrCat(kFuseFd), "--arena-fd", absl::StrCat(kArenaFd)});
    options.keep.insert(options.keep.end(), {{fuse_.get(), kFuseFd}, {arena_.get(), kArenaFd}});
  }
  options.new_session = true;
  ASSIGN_OR_RETURN(Child child, SpawnChild(options));
  process_ = std::make_shared<Process>(Process{child.pid, std::move(child.pidfd), SteadyClock::now()});
  client_ = lun::LunClient::Take(std::move(ours));
  hello_ = false;
  Watch();
  return absl::OkStatus();
}

void LunServer::Watch() {
  watcher_.Add(client_->fd(), [this] { OnReadable(); });
  watcher_.Add(process_->pidfd.get(), [this] { OnEnded(); });
}

absl::Status LunServer::WaitHello() {
  const auto deadline = SteadyDeadline(kStartTimeout);
  MutexLock lock(mutex_);
  while (!hello_) {
    if (!alive_) return absl::UnavailableError("it ended at once; see its log");
    if (!changed_.WaitUntil(lock, deadline)) return absl::DeadlineExceededError("it says nothing");
  }
  return absl::OkStatus();
}

bool LunServer::CanTakeOver() const {
  if (stopping_ || fenced_ || !file_ready_ || !fuse_ || !arena_) return false;
  return IsMounted(paths_.file);
}

// On the watcher's thread. The pidfd tells after the kernel has closed the last of the process's descriptors, so
// nothing of it can reach the kernel's file, or the array, that has not been sent already.
void LunServer::OnEnded() {
  OnReadable();  // its last words
  std::function<void()> tell;
  {
    const MutexLock lock(mutex_);
    watcher_.Remove(process_->pidfd.get());
    WaitEnd(process_->pidfd, absl::ZeroDuration());
    if (client_) {
      watcher_.Remove(client_->fd());
      client_.reset();
    }
    const auto now = SteadyClock::now();
    const uint64_t epoch = std::exchange(session_epoch_, 0);
    const pid_t pid = process_->pid;
    accepts_login_ = false;
    if (!down_since_) down_since_ = now;
    if (CanTakeOver()) {
      // Told before the successor says so: the renewal and its start then take place at the same time.
      if (epoch != 0) lost_epoch_ = epoch;
      successor_due_ = true;
      if (hello_ && (!process_->started || now - *process_->started >= kShortLife)) TrySuccessor();
      tell = [this, pid, epoch] {
        events_.notice("lun-server-ended", absl::StrCat("flocker-lun ", pid, " ended; a successor takes over"));
        if (epoch != 0) events_.session_lost(epoch, "its flocker-lun ended");
      };
    } else {
      alive_ = false;
      if (fenced_) {
        tell = [this] { CutOff(); };  // perhaps it died before it could fail what waits
      } else if (!stopping_ && (greeted_ || file_ready_)) {
        tell = events_.died;  // before that it is Start, or Revive, that fails
      }
    }
    changed_.NotifyAll();
  }
  if (tell) tell();
}

void LunServer::TrySuccessor() {
  const absl::Status spawned = Spawn();
  successor_due_ = !spawned.ok();
  if (!spawned.ok()) {
    spdlog::error("{}: no successor for its flocker-lun: {}", paths_.dataset.str(), std::string(spawned.message()));
  }
}

void LunServer::OnTick() {
  {
    const MutexLock lock(mutex_);
    if (!successor_due_) return;
    if (CanTakeOver() && SteadyClock::now() - *down_since_ < kGiveUp) return TrySuccessor();
    successor_due_ = alive_ = false;
    changed_.NotifyAll();
  }
  events_.died();
}

void LunServer::UpgradeIfOutdated() {
  {
    const MutexLock lock(mutex_);
    struct stat runs {};
    struct stat installed {};
    if (session_epoch_ == 0 || stat(absl::StrCat("/proc/", process_->pid, "/exe").c_str(), &runs) != 0 ||
        stat(paths_.binary.c_str(), &installed) != 0) {
      return;
    }
    // A running binary cannot be overwritten (ETXTBSY), only replaced: another file has another inode.
    if (runs.st_dev == installed.st_dev && runs.st_ino == installed.st_ino) return;
    spdlog::info("flocker-lun {} of {} runs another file than {}: it is to hand over", process_->pid,
                 paths_.dataset.str(), paths_.binary);
  }
  Send(lun::NewMessage<lun::HandOver>());
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
      if (received->fuse) fuse_ = std::move(received->fuse);
      if (received->arena) LendArena(std::move(received->arena));
    }
    Handle(received->report);
  }
}

void LunServer::HandleHello(const lun::Hello& hello) {
  hello_ = greeted_ = true;
  down_since_.reset();
  block_size_ = hello.block_size;
  size_ = hello.size;
  file_ready_ = false;
  if (hello.mounted != 0) FileIsReady();
  accepts_login_ = hello.state == lun::State::kAwaitingLogin || hello.state == lun::State::kBroken;
  session_epoch_ = hello.state == lun::State::kServing ? hello.epoch : 0;
  if (hello.state == lun::State::kBroken) lost_epoch_ = hello.epoch;
  if (!control_reachable_) client_->Send(lun::NewMessage<lun::ControlAway>()).IgnoreError();  // its end is noticed
}

// A successor that could not read its predecessor's arena has another one, and the one in the store is of no use any
// more.
void LunServer::LendArena(unique_fd arena) {
  struct stat before {};
  struct stat now {};
  const bool other =
      arena_ && fstat(arena_.get(), &before) == 0 && fstat(arena.get(), &now) == 0 && before.st_ino != now.st_ino;
  if (other) store_.Remove(DescriptorStore::OfLun(paths_.dataset, paths_.mount_epoch));
  arena_ = std::move(arena);
}

// From here on there is something that outlives the process.
void LunServer::FileIsReady() {
  if (!std::exchange(file_ready_, true))
    store_.Keep(DescriptorStore::OfLun(paths_.dataset, paths_.mount_epoch), fuse_.get(), arena_.get());
}

void LunServer::Handle(const lun::Report& report) {
  std::function<void()> tell;  // run without the lock
  {
    const MutexLock lock(mutex_);
    std::visit(
        Overloaded{
            [&](const lun::Hello& hello) REQUIRES(mutex_) {
              HandleHello(hello);
              // One that was paused when it was found.
              if (session_epoch_ != 0) tell = [this, epoch = session_epoch_] { events_.resumed(epoch); };
            },
            [&](const lun::Ready& ready) REQUIRES(mutex_) {
              block_size_ = ready.block_size;
              size_ = ready.size;
              session_epoch_ = ready.epoch;
              lost_epoch_.reset();
              FileIsReady();
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
              size_ = resumed.size;
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
  const absl::Time deadline = SteadyNow() + timeout;
  while (true) {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      refusal_ = absl::OkStatus();
      if (std::exchange(successor_due_, false)) alive_ = false;
    }
    Send(lun::NewMessage<lun::Stop>());
    absl::Status status = WaitStopped(deadline);
    if (status.ok()) break;
    // The kernel tells the server of the loop device's last close a moment after we know of it.
    if (ErrnoOf(status) != EBUSY || SteadyNow() >= deadline) {
      const MutexLock lock(mutex_);
      stopping_ = false;
      return status;
    }
    absl::SleepFor(kRepeatPause);
  }
  RETURN_IF_ERROR(DetachFuseMount(paths_.file));  // of one that died before it could unmount
  for (const std::string& path : {paths_.socket, paths_.file}) unlink(path.c_str());
  return absl::OkStatus();
}

absl::Status LunServer::WaitStopped(absl::Time deadline) {
  const auto until = SteadyDeadline(deadline - SteadyNow());
  MutexLock lock(mutex_);
  while (alive_ && refusal_.ok()) {
    if (!changed_.WaitUntil(lock, until)) return absl::DeadlineExceededError("flocker-lun did not end in time");
  }
  return refusal_;
}

void LunServer::Fence() {
  bool nobody = false;
  {
    const MutexLock lock(mutex_);
    fenced_ = true;
    nobody = std::exchange(successor_due_, false);
    if (nobody) alive_ = false;
    changed_.NotifyAll();
  }
  if (nobody) return CutOff();
  Send(lun::NewMessage<lun::Fence>());
}

// The mount stays until the loop device is gone: without it the file has no path by which the loop could be found.
void LunServer::CutOff() {
  if (const absl::Status status = AbortFuseMount(paths_.file); !status.ok()) {
    spdlog::error("{}: {}", paths_.dataset.str(), std::string(status.message()));
  }
}

void LunServer::Kill() {
  End();
  RemoveNames();
}

void LunServer::RemoveNames() const {
  for (const std::string& path : {paths_.socket, paths_.file}) unlink(path.c_str());
}

void LunServer::End() {
  std::shared_ptr<const Process> process;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    successor_due_ = false;
    process = process_;
  }
  syscall(SYS_pidfd_send_signal, process->pidfd.get(), SIGKILL, nullptr, 0);
  if (!WaitEnd(process->pidfd, kStartTimeout)) {
    spdlog::error("flocker-lun {} of {} does not die", process->pid, paths_.dataset.str());
  }
}

void LunServer::SetControlReachable(bool reachable) {
  {
    const MutexLock lock(mutex_);
    control_reachable_ = reachable;
  }
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

uint64_t LunServer::size() const {
  const MutexLock lock(mutex_);
  return size_;
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
