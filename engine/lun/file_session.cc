#include "engine/lun/file_session.h"

#include <fcntl.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/lun/arena.h"

namespace flocker::lun {
namespace {

constexpr size_t kStack = size_t{128} << 10;  // locked memory, as all of it
constexpr uint32_t kBlock = 512;              // as tgt's, so that a file may move to a pool of tgt's
constexpr uint64_t kMostUnmapped = uint64_t{256} << 20;
constexpr uint64_t kMostZeroes = uint64_t{4} << 20;
constexpr std::array<std::byte, 65536> kZeroes{};

// SPC-4 annex F.
constexpr uint16_t kSpaceAllocationFailed = 0x2707;
constexpr uint16_t kInvalidOperationCode = 0x2000;
constexpr uint16_t kInternalTargetFailure = 0x4400;

// What an array would have answered, so that one set of rules (sense.h) says what follows.
ScsiAnswer AnswerOf(int error) {
  const auto check = [](uint8_t key, uint16_t ascq) { return ScsiAnswer{SCSI_STATUS_CHECK_CONDITION, key, ascq}; };
  switch (error) {
    case 0:
      return {SCSI_STATUS_GOOD, 0, 0};
    case ENOSPC:
    case EDQUOT:
      return check(SCSI_SENSE_DATA_PROTECTION, kSpaceAllocationFailed);
    case EOPNOTSUPP:
      return check(SCSI_SENSE_ILLEGAL_REQUEST, kInvalidOperationCode);
    default:
      return check(SCSI_SENSE_HARDWARE_ERROR, kInternalTargetFailure);
  }
}

// All of it, or an errno. A file that ends early was cut by somebody else.
template <class Call>
int Whole(uint64_t offset, uint64_t length, Call call) {
  while (length > 0) {
    const ssize_t moved = call(offset, length);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return moved < 0 ? errno : EIO;
    offset += static_cast<uint64_t>(moved);
    length -= static_cast<uint64_t>(moved);
  }
  return 0;
}

}  // namespace

uint32_t FileSession::Queue::Pop() {
  const uint32_t job = jobs_[first_];
  first_ = (first_ + 1) % jobs_.size();
  --size_;
  return job;
}

FileSession::FileSession(Owner& owner, uint32_t max_commands)
    : owner_(owner), jobs_(max_commands), queued_(max_commands), done_(max_commands) {
  free_.reserve(max_commands);
  for (uint32_t i = max_commands; i > 0; --i) free_.push_back(i - 1);
}

FileSession::~FileSession() {
  Close();
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    wake_.NotifyAll();
  }
  for (size_t i = 0; i < threads_started_; ++i) pthread_join(threads_[i], nullptr);
}

// Not std::thread: its stack would be 8 MiB, and all of it locked.
absl::Status FileSession::StartThreads() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  const auto run = [](void* self) -> void* {
    static_cast<FileSession*>(self)->Work();
    return nullptr;
  };
  int error = 0;
  while (threads_started_ < kThreads && error == 0) {
    error = pthread_create(&threads_[threads_started_], &attributes, run, this);
    if (error == 0) ++threads_started_;
  }
  pthread_attr_destroy(&attributes);
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "cannot start threads to read and write the LUN's file");
}

absl::Status FileSession::Open(const Login& login, Clock::time_point /*now*/) {
  RETURN_IF_ERROR(StartThreads());
  unique_fd poll(epoll_create1(EPOLL_CLOEXEC));
  unique_fd done_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!poll || !done_event) return ErrnoStatus(errno, "cannot make an epoll or event descriptor");
  ASSIGN_OR_RETURN(FileClaim claim,
                   FileClaim::Take(std::string(login.target.view()), std::string(login.initiator.view())));
  for (const int fd : {done_event.get(), claim.withdrawn_fd()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoStatus(errno, "epoll_ctl");
  }
  claim_ = std::move(claim);
  poll_ = std::move(poll);
  done_event_ = std::move(done_event);
  ++generation_;
  cut_.reset();
  phase_ = Phase::kProbing;
  probe_due_ = true;
  return absl::OkStatus();
}

void FileSession::Close() {
  {
    MutexLock lock(mutex_);
    while (!queued_.empty()) free_.push_back(queued_.Pop());
    while (running_ > 0) idle_.Wait(lock);
    while (!done_.empty()) {
      const Job& job = jobs_[free_.emplace_back(done_.Pop())];
      if (job.command.verb == Verb::kFlush && job.error != 0) flush_error_ = job.error;
    }
  }
  claim_.reset();
  done_event_.reset();
  poll_.reset();
  phase_ = Phase::kClosed;
  probe_due_ = false;
  cut_.reset();
}

bool FileSession::Logout() {
  phase_ = Phase::kLoggingOut;
  Cut(Loss::kConnection, "logged out");
  return true;
}

void FileSession::Check(Clock::time_point /*now*/) {
  probe_due_ = true;
  Signal();
}

bool FileSession::Issue(uint32_t tag, const Command16& command, uint32_t /*block_size*/, Clock::time_point /*now*/) {
  if (cut_) return false;
  if (free_.empty()) {
    Cut(Loss::kProtocol, "more commands in flight than were planned for");
    return false;
  }
  const uint32_t job = free_.back();
  free_.pop_back();
  jobs_[job] = {tag, command};
  const MutexLock lock(mutex_);
  queued_.Push(job);
  wake_.NotifyOne();
  return true;
}

void FileSession::Cut(Loss loss, const std::string& reason) {
  if (!cut_) cut_ = {loss, reason};
  Signal();
}

int FileSession::events() const { return EPOLLIN; }

// The event loop comes round once more.
void FileSession::Signal() const {
  const uint64_t one = 1;
  if (done_event_ && write(done_event_.get(), &one, sizeof one) < 0 && errno != EAGAIN) std::abort();
}

void FileSession::Service(int /*revents*/) {
  if (!claim_) return;
  std::array<epoll_event, 2> events;
  const int n = epoll_wait(poll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < n; ++i) {
    if (events[static_cast<size_t>(i)].data.fd == claim_->withdrawn_fd()) {
      Cut(Loss::kConnection, "the grant of the LUN's file was withdrawn");
    }
  }
  uint64_t count = 0;
  if (read(done_event_.get(), &count, sizeof count) < 0 && errno != EAGAIN) Cut(Loss::kProtocol, "eventfd");
  while (!cut_) {
    uint32_t index = 0;
    {
      const MutexLock lock(mutex_);
      if (done_.empty()) break;
      index = done_.Pop();
    }
    Job job = jobs_[index];
    free_.push_back(index);
    if (job.command.verb == Verb::kFlush && flush_error_ != 0) job.error = std::exchange(flush_error_, 0);
    owner_.Answered(job.tag, job.command, AnswerOf(job.error));
  }
  EndIfCut();
}

void FileSession::Flush() {
  if (claim_ && std::exchange(probe_due_, false) && !cut_) Probe();
  EndIfCut();
}

void FileSession::Probe() {
  struct stat info {};
  if (fstat(claim_->fd(), &info) != 0) {
    return Cut(Loss::kProtocol, absl::StrCat("fstat of the LUN's file: ", ErrnoStatus(errno, "").ToString()));
  }
  Geometry geometry;
  geometry.identity = absl::StrCat("file:", info.st_dev, ":", info.st_ino);
  geometry.block_size = kBlock;
  geometry.blocks = static_cast<uint64_t>(info.st_size) / kBlock;
  geometry.max_transfer = kMaxTransfer;
  geometry.zero = {.block_size = kBlock,
                   .unmap = true,  // a hole reads as zeroes, to the byte
                   .granule = kBlock,
                   .max_unmap = kMostUnmapped,
                   .max_write_same = kMostZeroes};
  if (phase_ == Phase::kProbing) phase_ = Phase::kUp;
  owner_.Probed(geometry);
}

void FileSession::EndIfCut() {
  if (!cut_) return;
  const Ending ending = *std::exchange(cut_, std::nullopt);
  Close();
  owner_.Lost(ending.loss, ending.reason);
}

// ---- the threads ----

void FileSession::Work() {
  while (true) {
    uint32_t index = 0;
    {
      MutexLock lock(mutex_);
      while (queued_.empty() && !ending_) wake_.Wait(lock);
      if (ending_) return;
      index = queued_.Pop();
      ++running_;
    }
    jobs_[index].error = Do(jobs_[index].command);
    const MutexLock lock(mutex_);
    done_.Push(index);
    Signal();
    if (--running_ == 0) idle_.NotifyAll();
  }
}

int FileSession::Do(const Command16& command) const {
  const int fd = claim_->fd();
  const auto at = [&](uint64_t offset) { return command.data + (offset - command.offset); };
  switch (command.verb) {
    case Verb::kRead:
      return Whole(command.offset, command.length, [&](uint64_t offset, uint64_t length) {
        return pread(fd, at(offset), length, static_cast<off_t>(offset));
      });
    case Verb::kWrite:
      return Whole(command.offset, command.length, [&](uint64_t offset, uint64_t length) {
        return pwrite(fd, at(offset), length, static_cast<off_t>(offset));
      });
    case Verb::kFlush:
      return fdatasync(fd) == 0 ? 0 : errno;
    case Verb::kUnmap:
      return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(command.offset),
                       static_cast<off_t>(command.length)) == 0
                 ? 0
                 : errno;
    case Verb::kWriteSame:
      return WriteZeroes(command);
  }
  return EINVAL;
}

int FileSession::WriteZeroes(const Command16& command) const {
  return Whole(command.offset, command.length, [&](uint64_t offset, uint64_t length) {
    return pwrite(claim_->fd(), kZeroes.data(), std::min<uint64_t>(length, kZeroes.size()), static_cast<off_t>(offset));
  });
}

}  // namespace flocker::lun
