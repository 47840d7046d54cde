#include "lun_process.h"

#include <algorithm>
#include <utility>

#include "machine.h"

namespace flocker::sim {
namespace {

constexpr absl::Duration kLoginTimeout = absl::Seconds(2);
constexpr absl::Duration kTaskTimeout = absl::Seconds(3);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLongestBackoff = absl::Seconds(5);

}  // namespace

void LunProcess::Listen(Listener listener) {
  listener_ = std::move(listener);
  lent_ = listener_.ended != nullptr;
  stopped_ = nullptr;  // whoever asked for its end is gone
  if (lost_epoch_ && listener_.session_lost) listener_.session_lost(*lost_epoch_, loss_);
}

void LunProcess::Login(const AttachOrder& order) {
  const bool takes = state_ == State::kAwaitingLogin || state_ == State::kConnecting || state_ == State::kBroken;
  if (!takes || order.epoch <= epoch_) return;
  CloseConnection();
  epoch_ = order.epoch;
  grant_ = order;
  state_ = State::kConnecting;
  Connect();
}

void LunProcess::Connect() {
  const absl::Duration backoff =
      failed_logins_ == 0 ? absl::ZeroDuration()
                          : std::min(kFirstBackoff * (int64_t{1} << std::min(failed_logins_ - 1, 10)), kLongestBackoff);
  machine_.After(session_, backoff, [this] {
    connection_ = std::make_shared<Connection>(sim_.network, machine_.place());
    const auto bound = [this](auto f) {
      return [&machine = machine_, token = session_.token(), f](auto... args) {
        machine.Do([token, f, args...] {
          if (!token.expired()) f(args...);
        });
      };
    };
    connection_->on_login = bound([this](bool welcome) { OnLogin(welcome); });
    connection_->on_closed = bound([this](const std::string& why) { Lost(why); });
    connection_->up.Send([&array = array_, connection = connection_, id = id_, grant = *grant_] {
      array.Login(connection, id, grant.initiator, grant.epoch, grant.secret);
    });
    machine_.After(session_, kLoginTimeout, [this] {
      if (state_ == State::kConnecting) Lost("no answer to the login");
    });
  });
}

void LunProcess::OnLogin(bool welcome) {
  if (!welcome) return Lost("the login was refused");
  state_ = State::kServing;
  failed_logins_ = 0;
  lost_epoch_.reset();
  file_ready_ = true;
  sim_.Say("lun     ", machine_.name(), " ", id_.Short(), " serves e", epoch_, ", issues again ", requests_.size());
  IssueAll();
  if (listener_.ready) listener_.ready(epoch_);
}

void LunProcess::Lost(const std::string& reason) {
  if (state_ != State::kServing && state_ != State::kConnecting) return;
  const bool was_serving = state_ == State::kServing;
  if (!was_serving) ++failed_logins_;
  CloseConnection();
  sim_.Say("lun     ", machine_.name(), " ", id_.Short(), " e", epoch_, " lost: ", reason);
  if (sim_.planted(Plant::kReissueWithoutRenewal) && was_serving) {
    state_ = State::kConnecting;
    return Connect();
  }
  state_ = file_ready_ ? State::kBroken : State::kAwaitingLogin;
  lost_epoch_ = epoch_;
  loss_ = reason;
  if (listener_.session_lost) listener_.session_lost(epoch_, reason);
}

void LunProcess::CloseConnection() {
  session_.End();
  if (connection_ == nullptr) return;
  connection_->on_login = nullptr;
  connection_->on_closed = nullptr;
  connection_->up.Send([&array = array_, connection = connection_] { array.Close(connection); });
  connection_.reset();
}

// ---- requests ----

void LunProcess::Submit(const Command& command, Done done) {
  if (!alive() || state_ == State::kFenced) {
    machine_.Do([done = std::move(done)] { done(false, {}); });
    return;
  }
  requests_.push_back({.number = ++last_request_, .command = command, .done = std::move(done)});
  if (state_ == State::kServing && !Replaying()) Issue(requests_.back());
}

// A successor reads nothing new before all that it inherited is answered: one of those may have been answered before,
// and what its issuer sends next must not be overtaken by it.
bool LunProcess::Replaying() const {
  if (sim_.planted(Plant::kNewBesideInherited)) return false;
  return std::any_of(requests_.begin(), requests_.end(), [](const Request& each) { return each.inherited; });
}

void LunProcess::IssueAll() {
  const bool replaying = Replaying();
  for (Request& request : requests_) {
    if (request.inherited || !replaying) Issue(request);
  }
}

void LunProcess::Issue(Request& request) {
  request.issue = ++last_issue_;
  const auto reply = [this, &machine = machine_, token = session_.token(), number = request.number,
                      issue = request.issue](const Disk& disk) {
    machine.Do([this, token, number, issue, disk] {
      if (!token.expired()) Answered(number, issue, disk);
    });
  };
  connection_->up.Send([&array = array_, connection = connection_, command = request.command, reply] {
    array.Execute(connection, command, reply);
  });
  machine_.After(session_, kTaskTimeout, [this, number = request.number, issue = request.issue] {
    for (const Request& each : requests_) {
      if (each.number == number && each.issue == issue) return Lost("a command timed out");
    }
  });
}

void LunProcess::Answered(uint64_t number, uint64_t issue, const Disk& disk) {
  const auto it = std::find_if(requests_.begin(), requests_.end(),
                               [&](const Request& each) { return each.number == number && each.issue == issue; });
  if (it == requests_.end()) return;
  const Done done = std::move(it->done);
  if (std::exchange(crash_at_reply_, false)) {
    it->done = [](bool, const Disk&) {};  // the kernel knows no such request any more
    // A mkfs is many requests, and only the last of them, a flush, is given once more.
    if (it->command.kind == Command::Kind::kFormat) it->command.kind = Command::Kind::kSync;
    Crash();
    return done(true, disk);
  }
  const bool inherited = it->inherited;
  requests_.erase(it);
  if (inherited && !Replaying()) IssueAll();
  done(true, disk);
}

void LunProcess::FailAll() {
  for (const Request& request : std::exchange(requests_, {})) request.done(false, {});
}

// ---- ends ----

void LunProcess::Fence() {
  if (!alive()) return;
  CloseConnection();
  state_ = State::kFenced;
  lost_epoch_.reset();
  FailAll();
}

bool LunProcess::Stop(bool file_in_use, std::function<void()> stopped) {
  if (file_in_use) return false;
  file_ready_ = false;  // it is unmounted first
  stopped_ = std::move(stopped);
  machine_.After(life_, sim_.network.Delay(), [this, self = shared_from_this()] {
    if (alive()) {
      CloseConnection();
      state_ = State::kStopped;
      FailAll();
      // For an agent that did not ask for it, this is a death as any other.
      const auto died = std::exchange(listener_, {}).died;
      if (!stopped_ && died) died();
    }
    if (const auto tell = std::exchange(stopped_, nullptr)) tell();
  });
  return true;
}

void LunProcess::Crash() {
  if (!alive() || state_ == State::kDown) return;
  if (!lent_ || !file_ready_ || state_ == State::kFenced || stopped_) return Die(/*with_machine=*/false);
  CloseConnection();
  state_ = State::kDown;
  lost_epoch_.reset();
  for (Request& request : requests_) request.inherited = true;
  listener_.ended();
}

void LunProcess::Succeed() {
  if (state_ != State::kDown) return;
  state_ = State::kBroken;
  failed_logins_ = 0;
  lost_epoch_ = epoch_;
  loss_ = "a successor has taken over";
  sim_.Say("lun     ", machine_.name(), " ", id_.Short(), " e", epoch_, " has a successor, with ", requests_.size());
  if (sim_.planted(Plant::kReissueWithoutRenewal)) {
    state_ = State::kConnecting;
    return Connect();
  }
  if (listener_.session_lost) listener_.session_lost(epoch_, loss_);
}

void LunProcess::AgentGone() {
  if (machine_.keeps_descriptors() && file_ready_) return;
  lent_ = false;
  if (state_ == State::kDown) Die(/*with_machine=*/false);
}

void LunProcess::Die(bool with_machine) {
  if (!alive()) return;
  life_.End();
  state_ = State::kDead;
  if (with_machine) {
    session_.End();
    connection_.reset();  // nobody says goodbye: the array finds out when it must
    requests_.clear();
    return;
  }
  CloseConnection();
  FailAll();
  if (const auto died = std::exchange(listener_, {}).died) died();
  if (const auto tell = std::exchange(stopped_, nullptr)) tell();
}

}  // namespace flocker::sim
