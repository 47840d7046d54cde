#include "engine/lun/iscsi_session.h"

#include <iscsi/scsi-lowlevel.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::lun {
namespace {

constexpr size_t kMaxBlockSize = 4096;
constexpr auto kPeerTimeout = std::chrono::seconds(10);  // without an acknowledgement by its TCP
constexpr int kKeepaliveIdle = 2;  // seconds; a silent peer of an idle session is noticed within kPeerTimeout
constexpr int kKeepaliveInterval = 1;
constexpr int kKeepaliveCount = 3;

constexpr int kLooks = 8;  // at who is the oldest command, in a task_timeout

struct FreeTask {
  void operator()(scsi_task* task) const { scsi_free_scsi_task(task); }
};

}  // namespace

IscsiSession::IscsiSession(Owner& owner, uint32_t max_commands, Clock::duration task_timeout)
    : owner_(owner),
      task_timeout_(task_timeout),
      probe_([this](absl::StatusOr<Geometry> geometry) { OnProbed(std::move(geometry)); }),
      commands_(max_commands),
      zero_block_(kMaxBlockSize) {
  free_.reserve(max_commands);
  for (uint32_t i = max_commands; i > 0; --i) free_.push_back(i - 1);
  for (InFlight& command : commands_) command.session = this;
}

IscsiSession::~IscsiSession() { Close(); }

absl::Status IscsiSession::Open(const Login& login, Clock::time_point now) {
  iscsi_.reset(iscsi_create_context(login.initiator.bytes));
  if (iscsi_ == nullptr) return absl::ResourceExhaustedError("cannot create an iSCSI context");
  ++generation_;
  unsent_ = 0;
  cut_.reset();
  phase_ = Phase::kConnecting;
  deadline_ = now + task_timeout_;
  lun_ = static_cast<int>(login.lun);
  portal_ = std::string(login.portal.view());
  iscsi_context* iscsi = iscsi_.get();
  iscsi_set_noautoreconnect(iscsi, 1);
  iscsi_set_timeout(iscsi, 0);  // deadlines are ours: a command that is overdue ends the session
  iscsi_set_tcp_user_timeout(
      iscsi, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(task_timeout_).count()));
  iscsi_set_tcp_keepidle(iscsi, kKeepaliveIdle);
  iscsi_set_tcp_keepintvl(iscsi, kKeepaliveInterval);
  iscsi_set_tcp_keepcnt(iscsi, kKeepaliveCount);
  if (iscsi_set_targetname(iscsi, login.target.bytes) != 0 ||
      iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL) != 0 ||
      (!login.chap_user.view().empty() &&
       iscsi_set_initiator_username_pwd(iscsi, login.chap_user.bytes, login.chap_secret.bytes) != 0) ||
      iscsi_connect_async(iscsi, portal_.c_str(), &IscsiSession::OnConnected, this) != 0) {
    const std::string error = iscsi_get_error(iscsi);
    Close();
    return absl::UnavailableError(absl::StrCat("cannot connect to ", portal_, ": ", error));
  }
  return absl::OkStatus();
}

void IscsiSession::Close() {
  closing_ = true;  // destroying the context answers every command with CANCELLED
  iscsi_.reset();
  closing_ = false;
  phase_ = Phase::kClosed;
  deadline_.reset();
  cut_.reset();
}

bool IscsiSession::Logout() {
  if (iscsi_logout_async(iscsi_.get(), &IscsiSession::OnLoggedOut, this) != 0) return false;
  phase_ = Phase::kLoggingOut;
  return true;
}

void IscsiSession::OnConnected(iscsi_context* iscsi, int status, void* /*data*/, void* self) {
  auto* session = static_cast<IscsiSession*>(self);
  if (session->closing_) return;
  if (status != SCSI_STATUS_GOOD) {
    return session->Cut(Loss::kConnection,
                        absl::StrCat("cannot connect to ", session->portal_, ": ", iscsi_get_error(iscsi)));
  }
  session->phase_ = Phase::kLoggingIn;
  // A machine that acknowledges no segment is cut off; an array that is slow to answer commands goes on acknowledging,
  // as long as it has room to receive (tcp(7): a window that stays closed counts, too).
  const auto patience = static_cast<unsigned>(std::chrono::milliseconds(kPeerTimeout).count());
  if (setsockopt(iscsi_get_fd(iscsi), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof(patience)) != 0) {
    return session->Cut(Loss::kConnection, absl::StrCat("TCP_USER_TIMEOUT: ", strerror(errno)));
  }
  if (iscsi_login_async(iscsi, &IscsiSession::OnLoggedIn, self) != 0) {
    session->Cut(Loss::kConnection, absl::StrCat("cannot log in at ", session->portal_, ": ", iscsi_get_error(iscsi)));
  }
}

void IscsiSession::OnLoggedIn(iscsi_context* iscsi, int status, void* /*data*/, void* self) {
  auto* session = static_cast<IscsiSession*>(self);
  if (session->closing_) return;
  if (status != SCSI_STATUS_GOOD) {
    return session->Cut(Loss::kLoginRefused,
                        absl::StrCat("login at ", session->portal_, " failed: ", iscsi_get_error(iscsi)));
  }
  session->phase_ = Phase::kProbing;
  session->probe_.Start(iscsi, session->lun_);
}

void IscsiSession::OnLoggedOut(iscsi_context* /*iscsi*/, int /*status*/, void* /*data*/, void* self) {
  auto* session = static_cast<IscsiSession*>(self);
  if (!session->closing_) session->Cut(Loss::kConnection, "logged out");
}

void IscsiSession::OnProbed(absl::StatusOr<Geometry> geometry) {
  if (closing_) return;
  if (!geometry.ok()) return Cut(Loss::kProtocol, std::string(geometry.status().message()));
  if (phase_ == Phase::kProbing) {
    phase_ = Phase::kUp;
    deadline_.reset();
  }
  owner_.Probed(*geometry);
}

void IscsiSession::Check(Clock::time_point now) {
  if (probe_.running()) return;
  probe_started_ = now;
  if (!deadline_) deadline_ = now + task_timeout_;
  probe_.Start(iscsi_.get(), lun_);
}

bool IscsiSession::Issue(uint32_t tag, const Command16& command, uint32_t block_size, Clock::time_point now) {
  if (cut_) return false;
  if (free_.empty()) {
    Cut(Loss::kProtocol, "more commands in flight than were planned for");
    return false;
  }
  InFlight& slot = commands_[free_.back()];
  slot.tag = tag;
  slot.command = command;
  slot.number = ++issued_;
  slot.iov = {command.data, command.length};
  const uint64_t lba = command.offset / block_size;
  const auto blocks = static_cast<uint32_t>(command.length / block_size);
  const auto bytes = static_cast<uint32_t>(command.length);
  const int block = static_cast<int>(block_size);
  iscsi_context* iscsi = iscsi_.get();
  scsi_task* task = nullptr;
  switch (command.verb) {
    case Verb::kRead:
      task = iscsi_read16_iov_task(iscsi, lun_, lba, bytes, block, 0, 0, 0, 0, 0, &IscsiSession::OnAnswer, &slot,
                                   &slot.iov, 1);
      break;
    case Verb::kWrite:
      task = iscsi_write16_iov_task(iscsi, lun_, lba, nullptr, bytes, block, 0, 0, 0, 0, 0, &IscsiSession::OnAnswer,
                                    &slot, &slot.iov, 1);
      break;
    case Verb::kFlush:
      task = iscsi_synchronizecache16_task(iscsi, lun_, 0, 0, 0, 0, &IscsiSession::OnAnswer, &slot);
      break;
    case Verb::kUnmap:
      slot.unmap = {lba, blocks};
      task = iscsi_unmap_task(iscsi, lun_, 0, 0, &slot.unmap, 1, &IscsiSession::OnAnswer, &slot);
      break;
    case Verb::kWriteSame:
      // A block of zeroes, not the NDOB bit: that is SBC-4, and tgt ignores it.
      task = iscsi_writesame16_task(iscsi, lun_, lba, zero_block_.data(), block_size, blocks, 0, 0, 0, 0,
                                    &IscsiSession::OnAnswer, &slot);
      break;
  }
  if (task == nullptr) {
    Cut(Loss::kConnection, absl::StrCat("cannot issue a command: ", iscsi_get_error(iscsi)));
    return false;
  }
  slot.busy = true;
  unsent_ += command.verb == Verb::kRead || command.verb == Verb::kFlush ? 1 : 2;
  if (free_.size() == commands_.size()) {
    oldest_ = slot.number;
    oldest_since_ = now;
  }
  free_.pop_back();
  if (!deadline_) deadline_ = now + task_timeout_ / kLooks;
  return true;
}

void IscsiSession::OnAnswer(iscsi_context* /*iscsi*/, int status, void* data, void* in_flight) {
  const std::unique_ptr<scsi_task, FreeTask> task(static_cast<scsi_task*>(data));
  auto& slot = *static_cast<InFlight*>(in_flight);
  IscsiSession& session = *slot.session;
  slot.busy = false;
  session.free_.push_back(static_cast<uint32_t>(&slot - session.commands_.data()));
  if (session.closing_ || session.cut_) return;
  ScsiAnswer answer{status, static_cast<uint8_t>(task->sense.key), static_cast<uint16_t>(task->sense.ascq)};
  if (status == SCSI_STATUS_GOOD && task->residual_status != SCSI_RESIDUAL_NO_RESIDUAL &&
      (slot.command.verb == Verb::kRead || slot.command.verb == Verb::kWrite)) {
    return session.Cut(Loss::kProtocol, absl::StrCat("the LUN moved ", task->residual, " bytes too few or too many"));
  }
  session.owner_.Answered(slot.tag, slot.command, answer);
}

void IscsiSession::Cut(Loss loss, const std::string& reason) {
  if (!cut_) cut_ = {loss, reason};
}

void IscsiSession::EndIfCut() {
  if (!cut_) return;
  const Ending ending = *std::exchange(cut_, std::nullopt);
  Close();
  owner_.Lost(ending.loss, ending.reason);
}

int IscsiSession::fd() const { return iscsi_ == nullptr ? -1 : iscsi_get_fd(iscsi_.get()); }

int IscsiSession::events() const { return iscsi_ == nullptr ? 0 : iscsi_which_events(iscsi_.get()); }

void IscsiSession::Cork(bool on) {
  const int value = on ? 1 : 0;
  // Without it everything is sent as well, in more segments.
  (void)setsockopt(fd(), IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

void IscsiSession::Service(int revents) {
  if (iscsi_ == nullptr) return;
  // libiscsi sends each command, and each command's data, with a call of its own, and its TCP_NODELAY makes a segment
  // of each: the array would be woken for every one of them.
  const bool cork = (revents & POLLOUT) != 0 && std::exchange(unsent_, 0) != 1 && up();
  if (cork) Cork(true);
  const int served = iscsi_service(iscsi_.get(), revents);
  if (cork) Cork(false);
  if (served < 0) {
    // What libiscsi says here is only that its reconnect is off. A target that hangs up during the login refuses it.
    Cut(phase_ == Phase::kLoggingIn ? Loss::kLoginRefused : Loss::kConnection,
        absl::StrCat("the connection to ", portal_, " ended"));
  }
  EndIfCut();
}

void IscsiSession::Flush() {
  if (up() && !cut_ && (events() & POLLOUT) != 0) return Service(POLLOUT);
  EndIfCut();
}

void IscsiSession::CheckDeadline(Clock::time_point now) {
  if (!deadline_ || now < *deadline_) return;
  if (phase_ != Phase::kUp) {
    Cut(phase_ == Phase::kConnecting ? Loss::kConnection : Loss::kTaskTimeout,
        absl::StrCat("no session with ", portal_, " in time"));
    return EndIfCut();
  }
  // A few times in a task_timeout, not at every command. Who has become the oldest in between counts from now.
  deadline_.reset();
  const InFlight* oldest = nullptr;
  for (const InFlight& slot : commands_) {
    if (slot.busy && (oldest == nullptr || slot.number < oldest->number)) oldest = &slot;
  }
  if (oldest != nullptr) {
    if (std::exchange(oldest_, oldest->number) != oldest->number) oldest_since_ = now;
    const Clock::time_point due = oldest_since_ + task_timeout_;
    if (due <= now) {
      Cut(Loss::kTaskTimeout, absl::StrCat(portal_, " left a command unanswered for too long"));
      return EndIfCut();
    }
    deadline_ = std::min(due, now + task_timeout_ / kLooks);
  }
  if (!probe_.running()) return;
  const Clock::time_point due = probe_started_ + task_timeout_;
  if (due <= now) {
    Cut(Loss::kTaskTimeout, absl::StrCat(portal_, " does not say what the LUN is"));
    return EndIfCut();
  }
  deadline_ = deadline_ ? std::min(*deadline_, due) : due;
}

}  // namespace flocker::lun
