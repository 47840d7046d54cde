// Server's ear for the agent: one function a command of wire.h.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/lun/server.h"

namespace flocker::lun {
namespace {

// Between logins that fail, so that an array that comes back meets no storm.
constexpr auto kFirstBackoff = std::chrono::milliseconds(100);
constexpr auto kLongestBackoff = std::chrono::seconds(5);
constexpr auto kLogoutTime = std::chrono::seconds(2);
// What is not finished by then is left to the successor, to be issued again.
constexpr auto kDrainTime = std::chrono::seconds(2);

Clock::duration Backoff(uint32_t failures) {
  if (failures == 0) return Clock::duration::zero();
  const auto doubled = kFirstBackoff * (uint64_t{1} << std::min<uint32_t>(failures - 1, 10));
  return std::min<Clock::duration>(doubled, kLongestBackoff);
}

}  // namespace

void Server::OnAgentConnected() {
  if (port_.Accept()) Greet();
}

void Server::Greet() {
  const absl::Status watched = Watch(port_.agent_fd(), kAgent, EPOLLIN);
  if (!watched.ok()) spdlog::error("{}", std::string(watched.message()));
  port_.SendHello(Describe<Hello>(), fuse_.fd(), arena_.fd());
  if (loss_) port_.Send(*loss_);
  if (held_) port_.Send(*held_);
}

void Server::OnAgentReadable() {
  while (true) {
    auto command = port_.Receive();
    if (!command.ok()) return spdlog::warn("{}", std::string(command.status().message()));
    if (!command->has_value()) return;
    std::visit([this](const auto& message) { On(message); }, **command);
    if (auto* login = std::get_if<Login>(&**command)) explicit_bzero(&login->chap_secret, sizeof login->chap_secret);
  }
}

void Server::Refused(Kind command, int error, const std::string& what) {
  spdlog::warn("command {} refused: {}", static_cast<int>(command), what);
  auto failed = NewMessage<Failed>();
  failed.command = command;
  failed.error = error;
  failed.what.SetCut(what);
  port_.Send(failed);
}

void Server::On(const Login& login) {
  if (state_ != State::kAwaitingLogin && state_ != State::kConnecting && state_ != State::kBroken) {
    return Refused(Kind::kLogin, EBUSY, "a grant is taken only while there is no session to keep");
  }
  if (login.epoch <= epoch_) {
    return Refused(
        Kind::kLogin, EINVAL,
        absl::StrCat("the grant of epoch ", login.epoch, " is spent, the latest was ", epoch_, ": renew it"));
  }
  session_->Close();  // of a login that a later grant overtakes
  arena_.SaveEpoch(login.epoch);
  epoch_ = login.epoch;
  loss_.reset();
  grant_ = login;
  login_at_ = now_ + Backoff(failed_logins_);
  state_ = State::kConnecting;
}

void Server::On(const ControlAway&) { clock_.ControlAway(); }

void Server::On(const ControlBack&) { clock_.ControlBack(now_); }

void Server::On(const Fence&) {
  grant_.reset();
  session_->Close();
  transfers_.Suspend();
  if (state_ != State::kStopping) state_ = State::kFenced;
  clock_.Stop();
  later_at_.reset();
  loss_.reset();
  held_.reset();
  auto fenced = NewMessage<Fenced>();
  fenced.failed = transfers_.FailAll(EIO);
  spdlog::warn("epoch {}: fenced, {} requests failed", epoch_, fenced.failed);
  port_.Send(fenced);
}

void Server::On(const Resize&) {
  if (state_ != State::kServing && state_ != State::kBroken && state_ != State::kConnecting) {
    return Refused(Kind::kResize, EINVAL, "there is no LUN whose size could be read");
  }
  if (state_ != State::kServing) return;  // the next login reads it anyway
  ready_owed_ = true;
  session_->Check(now_);
}

void Server::On(const Stop& stop) {
  const absl::Status unmounted = fuse_.Unmount(stop.lazy != 0);
  if (!unmounted.ok()) return Refused(Kind::kStop, ErrnoOf(unmounted), std::string(unmounted.message()));
  state_ = State::kStopping;
  stop_by_ = now_ + options_.task_timeout;
  grant_.reset();
  clock_.Stop();
  transfers_.FailHeld();
  held_.reset();
  if (session_->up()) return;
  session_->Close();
  transfers_.FailAll(EIO);
}

void Server::On(const HandOver&) {
  if (state_ != State::kServing) return Refused(Kind::kHandOver, EBUSY, "there is no session to end in order");
  state_ = State::kHandingOver;
  stop_by_ = now_ + kDrainTime;
}

// Answers what is still under way, then logs out; gives up waiting for either after its time.
void Server::AdvanceStop() {
  const bool overdue = now_ >= stop_by_;
  const uint32_t left = state_ == State::kStopping ? arena_.in_flight() : transfers_.issued();
  if (left > 0 && session_->up() && !overdue) return;
  if (session_->up() && !overdue && session_->Logout()) {
    stop_by_ = now_ + kLogoutTime;
    return;
  }
  if (session_->logging_out() && !overdue) return;
  if (state_ == State::kStopping) {
    finished_ = true;
  } else {
    session_->Cut(Loss::kTaskTimeout, "it does not finish what is under way");  // Lost follows
  }
}

void Server::On(const Verdict& verdict) {
  if (transfers_.held() == 0) return;  // it crossed with their end
  spdlog::info("{} held writes are to {}", transfers_.held(), verdict.retry != 0 ? "be tried again" : "fail");
  held_.reset();
  clock_.Stop();
  if (verdict.retry == 0) {
    transfers_.FailHeld();
    return;
  }
  transfers_.ReleaseHeld();
  if (MayIssue()) transfers_.IssueWaiting(now_);
}

void Server::On(const GetStatus&) { port_.Send(Describe<Status>()); }

template <class M>
M Server::Describe() const {
  M status = NewMessage<M>();
  status.state = state_;
  status.pid = getpid();
  status.mount_epoch = options_.mount_epoch;
  status.epoch = epoch_;
  status.size = geometry_.size();
  status.block_size = geometry_.block_size;
  status.mounted = fuse_.mounted() ? 1 : 0;
  status.in_flight = arena_.in_flight();
  status.held_writes = transfers_.held();
  status.dataset.SetCut(options_.dataset);
  status.node.SetCut(options_.node);
  status.identity.SetCut(geometry_.identity);
  status.counters = transfers_.counters();
  return status;
}

}  // namespace flocker::lun
