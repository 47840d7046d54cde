#include "engine/lun/server.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/lun/file_face.h"
#include "engine/lun/range.h"

namespace flocker::lun {
namespace {

// 16 MiB: with code and libraries (11 MiB) under the 32 MiB of locked memory that DESIGN §5 allows; 15 of the largest
// requests at once, or all 256 slots with up to 64 KiB each.
constexpr size_t kArenaData = size_t{16} << 20;
constexpr uint16_t kMaxBackground = 192;  // leaves slots for the requests that FUSE does not count
constexpr int kRequestsPerTurn = 32;      // then the answers get their turn

constexpr auto kBusyPause = std::chrono::milliseconds(100);

uint64_t Milliseconds(Clock::duration d) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

// With the requests in it; or, where the kernel helps, without them, when they are kept in a way this build does not
// know.
absl::StatusOr<Arena> TakeOverArena(unique_fd predecessor, FuseDevice& fuse) {
  absl::StatusOr<Arena> adopted = Arena::Adopt(std::move(predecessor));
  if (adopted.ok()) return adopted;
  const std::string why(adopted.status().message());
  ASSIGN_OR_RETURN(Arena arena, Arena::CreateAfter(std::move(predecessor), kArenaData, Server::kSlots));
  if (const absl::Status asked = fuse.AskAgain(); !asked.ok()) {
    return Refuse(Cause::kInvalid,
                  absl::StrCat("the predecessor's requests cannot be taken over: ", why, "; ", asked.message()));
  }
  spdlog::warn("the predecessor's arena is left: {}; the kernel hands its requests out again", why);
  return arena;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Create(const ServerOptions& options) {
  ASSIGN_OR_RETURN(AgentPort port, AgentPort::Listen(options.socket));
  if (options.agent_fd >= 0) port.Take(unique_fd(options.agent_fd));
  const bool successor = options.fuse_fd >= 0;
  // The socket is also the lock against a second successor, and its agent is asked for after it is taken: the one that
  // dies before leaves nobody behind; after one that dies later the next agent finds us at the socket.
  if (successor && options.agent_fd >= 0 && port.AgentGone()) {
    return Refuse(Cause::kInvalid, "the agent has ended; its own successor is to start another flocker-lun");
  }
  ASSIGN_OR_RETURN(FuseDevice fuse,
                   successor ? FuseDevice::Adopt(unique_fd(options.fuse_fd), options.mountpoint) : FuseDevice::Open());
  ASSIGN_OR_RETURN(Arena arena,
                   successor ? TakeOverArena(unique_fd(options.arena_fd), fuse) : Arena::Create(kArenaData, kSlots));
  if (successor && (arena.slot_count() != kSlots || arena.header().block_size == 0)) {
    return Refuse(Cause::kInvalid, "the predecessor's arena is of another build, or was never used");
  }
  unique_fd epoll(epoll_create1(EPOLL_CLOEXEC));
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGTERM);
  sigaddset(&handled, SIGINT);
  sigprocmask(SIG_BLOCK, &handled, nullptr);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  unique_fd signals(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!epoll || !signals) return ErrnoStatus(errno, "cannot make an epoll or signal descriptor");
  std::unique_ptr<Server> server(
      new Server(options, std::move(epoll), std::move(signals), std::move(fuse), std::move(arena), std::move(port)));
  RETURN_IF_ERROR(server->Watch(server->signals_.get(), kSignals, EPOLLIN));
  RETURN_IF_ERROR(server->Watch(server->port_.listen_fd(), kListener, EPOLLIN));
  if (successor) server->TakeOver();
  if (options.agent_fd >= 0) server->Greet();
  return server;
}

Server::Server(const ServerOptions& options, unique_fd epoll, unique_fd signals, FuseDevice fuse, Arena arena,
               AgentPort port)
    : options_(options),
      epoll_(std::move(epoll)),
      signals_(std::move(signals)),
      fuse_(std::move(fuse)),
      arena_(std::move(arena)),
      port_(std::move(port)),
      iscsi_(*this, kSlots * Transfers::kCommandsPerRequest, options.task_timeout),
      file_(*this, kSlots * Transfers::kCommandsPerRequest),
      transfers_(*this, arena_, fuse_, iscsi_, options.io_timeout, options.witness),
      clock_(options.io_timeout) {}

// ---- the loop ----

absl::Status Server::Watch(int fd, Tag tag, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0 &&
      (errno != EEXIST || epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)) {
    return ErrnoStatus(errno, "epoll_ctl");
  }
  return absl::OkStatus();
}

absl::Status Server::Run() {
  while (!finished_) {
    std::array<epoll_event, 8> events;
    const int n = epoll_wait(epoll_.get(), events.data(), events.size(), WaitMilliseconds());
    if (n < 0 && errno != EINTR) return ErrnoStatus(errno, "epoll_wait");
    now_ = Clock::now();
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      switch (event.data.u64) {
        case kSignals:
          OnSignal();
          break;
        case kListener:
          OnAgentConnected();
          break;
        case kAgent:
          OnAgentReadable();
          break;
        case kFuse:
          OnFuseReadable();
          break;
        case kSession:
          session_->Service(static_cast<int>(event.events));
          break;  // EPOLLIN is POLLIN, and so on
        default:
          break;
      }
    }
    OnTime();
    session_->Flush();
    if (state_ == State::kStopping || state_ == State::kHandingOver) AdvanceStop();
    UpdateInterest();
  }
  session_->Close();
  if (state_ == State::kStopping) port_.Send(NewMessage<Stopped>());
  spdlog::info(state_ == State::kStopping ? "stopped" : "handing over");
  return absl::OkStatus();
}

void Server::UpdateInterest() {
  const auto watch = [this](int fd, Tag tag, uint32_t events) {
    const absl::Status watched = Watch(fd, tag, events);
    if (!watched.ok()) spdlog::error("{}", std::string(watched.message()));
  };
  if (replaying_ && arena_.in_flight() == 0) replaying_ = false;
  const bool may_receive = was_mounted_ && !fuse_gone_ && !replaying_ && state_ != State::kHandingOver;
  // Without room for one more request, requests stay in the kernel.
  const bool receive = may_receive && arena_.Offer().has_value();
  if (receive != fuse_watched_) {
    fuse_watched_ = receive;
    if (receive) {
      watch(fuse_.fd(), kFuse, EPOLLIN);
    } else {
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fuse_.fd(), nullptr);
    }
  }
  if (!session_->open()) {
    session_watched_ = 0;  // closing its socket has removed it from epoll
  } else if (session_->generation() != session_watched_ || session_->events() != session_events_) {
    session_watched_ = session_->generation();
    session_events_ = session_->events();
    watch(session_->fd(), kSession, static_cast<uint32_t>(session_events_));
  }
}

int Server::WaitMilliseconds() const {
  std::optional<Clock::time_point> next;
  const auto consider = [&next](std::optional<Clock::time_point> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  consider(session_->deadline());
  consider(clock_.deadline());
  consider(later_at_);
  if (grant_) consider(login_at_);
  if (state_ == State::kStopping || state_ == State::kHandingOver) consider(stop_by_);
  if (!next) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, 3600 * 1000));
}

void Server::OnTime() {
  session_->CheckDeadline(now_);
  if (grant_ && now_ >= login_at_) StartLogin();
  if (later_at_ && now_ >= *later_at_) {
    later_at_.reset();
    transfers_.ReleaseLater();
    if (MayIssue()) transfers_.IssueWaiting(now_);
  }
  const auto deadline = clock_.deadline();
  if (!deadline || now_ < *deadline) return;
  auto timed_out = NewMessage<IoTimedOut>();
  timed_out.epoch = epoch_;
  timed_out.paused_ms = Milliseconds(clock_.paused(now_));
  // With a session it is the held writes that nobody decided about; without one it is everything.
  expired_ = state_ != State::kServing;
  timed_out.failed = expired_ ? transfers_.FailAll(EIO) : transfers_.FailHeld();
  held_.reset();
  clock_.Stop();
  spdlog::error("io_timeout: {} requests failed after {} ms", timed_out.failed, timed_out.paused_ms);
  port_.Send(timed_out);
}

void Server::OnSignal() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (state_ == State::kStopping) continue;
    // At a machine's shutdown everybody gets this, long before the filesystems are unmounted.
    const absl::Status unmounted = fuse_.Unmount(false);
    if (!unmounted.ok()) {
      spdlog::warn("signal {} ignored, the file is in use: {}", info.ssi_signo, std::string(unmounted.message()));
      continue;
    }
    On(NewMessage<Stop>());
  }
}

// ---- the kernel ----

void Server::OnFuseReadable() {
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    const auto slot = arena_.Offer();
    if (!slot) return;
    const std::span<std::byte> room = arena_.request(*slot);
    const auto got = fuse_.Receive(room);
    if (!got.ok()) {
      fuse_gone_ = true;
      if (state_ != State::kStopping) spdlog::warn("{}", std::string(got.status().message()));
      return;
    }
    if (*got == 0) return;
    Dispatch(*slot, room.first(*got));
  }
}

void Server::Dispatch(uint32_t slot, std::span<std::byte> bytes) {
  const auto request = ParseFuseRequest(bytes);
  if (!request.ok()) {
    spdlog::error("{}", std::string(request.status().message()));
    arena_.Deliver(slot, bytes.size(), 0);
    return ReplyMalformed(slot, bytes);
  }
  arena_.Deliver(slot, bytes.size(), request->opcode == FUSE_READ ? request->length : 0);
  if (request->opcode == FUSE_INIT && !arena_.SaveInit(bytes)) {
    spdlog::error("FUSE_INIT of {} bytes is too long to keep: no successor could take over", bytes.size());
  }
  Serve(slot, *request, bytes);
}

void Server::ReplyMalformed(uint32_t slot, std::span<std::byte> bytes) {
  FuseRequest nameless;
  if (bytes.size() >= sizeof(fuse_in_header)) {
    memcpy(&nameless.unique, bytes.data() + offsetof(fuse_in_header, unique), sizeof nameless.unique);
  }
  transfers_.Reply(slot, nameless, EIO, {});
}

void Server::Serve(uint32_t slot, const FuseRequest& request, std::span<std::byte> bytes) {
  const FileAnswer answer = AnswerOf(request, bytes, geometry_, kMaxBackground);
  if (answer.kind == FileAnswer::Kind::kSilence) return arena_.Release(slot);
  if (answer.kind == FileAnswer::Kind::kAnswer) {
    transfers_.Reply(slot, request, answer.error, answer.data());
    if (request.opcode == FUSE_INIT) {
      initialized_ = true;
      TellReady();
    }
    return;
  }

  const Range range = RangeOf(request, geometry_);
  if (range.error != 0) {
    if (range.error == EINVAL && log_.Allow()) {
      spdlog::warn("opcode {} of {} bytes at {} is not aligned to the LUN's blocks of {}",
                   static_cast<int>(request.opcode), request.length, request.offset, geometry_.block_size);
    }
    return transfers_.Reply(slot, request, range.error, {});
  }
  if (Refuses()) return transfers_.Reply(slot, request, EIO, {});
  transfers_.Add(slot, request, range.length);
  if (MayIssue()) transfers_.Issue(slot, now_);
}

// Becomes what the predecessor was when it died, as if its session had broken at that moment.
void Server::TakeOver() {
  const ArenaHeader& kept = arena_.header();
  was_mounted_ = replaying_ = true;
  initialized_ = kept.init_size != 0;  // if it was received and not answered, it is answered below
  geometry_.identity = kept.identity;
  geometry_.block_size = kept.block_size;
  geometry_.blocks = kept.size / kept.block_size;
  epoch_ = kept.epoch;
  state_ = State::kBroken;
  clock_.Start(now_);
  for (const uint32_t slot : arena_.Delivered()) {
    const std::span<std::byte> bytes = arena_.request(slot);
    const auto request = ParseFuseRequest(bytes);
    if (request.ok()) {
      Serve(slot, *request, bytes);
    } else {
      ReplyMalformed(slot, bytes);
    }
  }
  if (const size_t arrived = arena_.Arrived(); arrived != 0) {
    const uint32_t slot = *arena_.Offer();
    Dispatch(slot, arena_.request(slot).first(arrived));
  }
  loss_ = NewMessage<SessionLost>();
  loss_->epoch = epoch_;
  loss_->loss = Loss::kConnection;
  loss_->in_flight = arena_.in_flight();
  loss_->reason.SetCut("its flocker-lun ended; a successor has taken over");
  spdlog::info("epoch {}: taken over from a predecessor, {} requests to be issued again", epoch_, loss_->in_flight);
}

// ---- the session ----

bool Server::MayIssue() const {
  return (state_ == State::kServing || state_ == State::kStopping) && session_->up() && !doubt_;
}

bool Server::Refuses() const {
  return state_ == State::kFenced || expired_ || (state_ == State::kStopping && !session_->up());
}

void Server::StartLogin() {
  Session* const session = grant_->portal.view().empty() ? static_cast<Session*>(&file_) : &iscsi_;
  if (session != session_) {
    session_ = session;
    session_watched_ = 0;  // each counts its own generations
    transfers_.SetSession(*session);
  }
  const absl::Status opened = session_->Open(*grant_, now_);
  explicit_bzero(&*grant_, sizeof *grant_);
  grant_.reset();
  if (!opened.ok()) Lost(Loss::kConnection, std::string(opened.message()));
}

void Server::Answered(uint32_t tag, const Command16& command, const ScsiAnswer& answer) {
  transfers_.Answered(tag, command, answer, now_);
}

void Server::Probed(const Geometry& geometry) {
  if (!was_mounted_) return FirstUp(geometry);
  if (geometry.identity != geometry_.identity || geometry.block_size != geometry_.block_size ||
      geometry.size() < geometry_.size()) {
    return session_->Cut(Loss::kIdentity,
                         absl::StrCat("not the LUN it was: ", geometry.identity, " of ", geometry.size(),
                                      " bytes, block ", geometry.block_size, ", instead of ", geometry_.identity,
                                      " of ", geometry_.size(), " bytes, block ", geometry_.block_size));
  }
  geometry_ = geometry;
  transfers_.SetGeometry(geometry);
  arena_.SaveLun(geometry.identity, geometry.block_size, geometry.size());
  if (state_ == State::kConnecting) return Resume(geometry);
  if (std::exchange(doubt_, false)) transfers_.IssueWaiting(now_);
  TellReady();
}

void Server::FirstUp(const Geometry& geometry) {
  if (!arena_.SaveLun(geometry.identity, geometry.block_size, geometry.size())) {
    return session_->Cut(Loss::kIdentity, "the LUN's identity is too long to be kept: " + geometry.identity);
  }
  const absl::Status mounted = fuse_.Mount(options_.mountpoint, absl::StrCat("flocker-lun:", options_.dataset));
  if (!mounted.ok()) return session_->Cut(Loss::kMount, std::string(mounted.message()));
  was_mounted_ = true;
  geometry_ = geometry;
  transfers_.SetGeometry(geometry);
  state_ = State::kServing;
  failed_logins_ = 0;
  spdlog::info("epoch {}: serving LUN {} of {} bytes, block {}, {} at {}", epoch_, geometry.identity, geometry.size(),
               geometry.block_size, geometry.zero.unmap ? "discards freed" : "discards written", options_.mountpoint);
  ready_owed_ = true;
}

void Server::TellReady() {
  if (!ready_owed_ || !initialized_ || state_ != State::kServing) return;
  ready_owed_ = false;
  auto ready = NewMessage<Ready>();
  ready.epoch = epoch_;
  ready.size = geometry_.size();
  ready.block_size = geometry_.block_size;
  port_.Send(ready);
}

void Server::Resume(const Geometry& geometry) {
  state_ = State::kServing;
  failed_logins_ = 0;
  loss_.reset();
  expired_ = false;
  auto resumed = NewMessage<Resumed>();
  resumed.epoch = epoch_;
  resumed.size = geometry.size();
  resumed.paused_ms = Milliseconds(clock_.paused(now_));
  clock_.Stop();
  resumed.reissued = transfers_.IssueWaiting(now_);
  spdlog::info("epoch {}: resumed after {} ms, {} requests issued again", epoch_, resumed.paused_ms, resumed.reissued);
  port_.Send(resumed);
  TellReady();
}

void Server::Lost(Loss loss, const std::string& reason) {
  if (state_ == State::kFenced) return;
  if (state_ == State::kStopping) {
    transfers_.Suspend();
    transfers_.FailAll(EIO);
    finished_ = true;
    return;
  }
  // Handed over only to somebody who is there: the last holder of the descriptors takes the mount with it.
  if (state_ == State::kHandingOver && port_.agent_fd() >= 0 && !port_.AgentGone()) {
    transfers_.Suspend();
    finished_ = true;
    return;
  }
  const bool was_up = state_ == State::kServing || state_ == State::kHandingOver;
  if (!was_up) ++failed_logins_;
  transfers_.Suspend();
  held_.reset();
  later_at_.reset();
  doubt_ = false;
  state_ = was_mounted_ ? State::kBroken : State::kAwaitingLogin;
  if (was_mounted_ && was_up) {
    clock_.Stop();  // of a held write; from here on it is the session that is missing
    clock_.Start(now_);
  }
  loss_ = NewMessage<SessionLost>();
  loss_->epoch = epoch_;
  loss_->loss = loss;
  loss_->in_flight = arena_.in_flight();
  loss_->reason.SetCut(reason);
  spdlog::warn("epoch {}: session lost, {} requests wait: {}", epoch_, loss_->in_flight, reason);
  port_.Send(*loss_);
}

// ---- trouble with single requests ----

void Server::WriteHeld(const Command16& command, const ScsiAnswer& answer) {
  held_ = NewMessage<WriteFailed>();
  held_->offset = command.offset;
  held_->length = command.length;
  held_->sense_key = answer.key;
  held_->sense_ascq = answer.ascq;
  clock_.Start(now_);
  port_.Send(*held_);
}

void Server::LunBusy() {
  if (!later_at_) later_at_ = now_ + kBusyPause;
}

void Server::LunInDoubt(const ScsiAnswer& answer) {
  if (doubt_) return;
  spdlog::info("checking the LUN after {}", lun::Describe(answer));
  doubt_ = true;
  session_->Check(now_);
}

}  // namespace flocker::lun
