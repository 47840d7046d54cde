#include "tests/contract/array/file_user.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/lun/wire.h"
#include "tests/contract/array/array_world.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);

}  // namespace

absl::StatusOr<std::unique_ptr<FileUser>> FileUser::Login(const LunAddress& address, const Grant& grant) {
  std::unique_ptr<FileUser> user(new FileUser);
  RETURN_IF_ERROR(user->Start(address, grant));
  return user;
}

absl::Status FileUser::Start(const LunAddress& address, const Grant& grant) {
  const std::string file = scratch_ / "lun";
  const std::string socket = scratch_ / "socket";
  const unique_fd log(open((scratch_ / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!unique_fd(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600))) return ErrnoStatus(errno, file);
  // A test that is killed takes it along: its requests must not hang whoever touches the file next.
  ASSIGN_OR_RETURN(lun_, SpawnChild({.argv = {"setpriv", "--pdeathsig", "KILL", FLOCKER_BIN_DIR "/flocker-lun",
                                              "--node", "test", "--dataset", Id(1).str(), "--mount-epoch", "1",
                                              "--mountpoint", file, "--socket", socket, "--io-timeout", "1"},
                                     .output_fd = log.get()}));
  const bool connected = Eventually([&] {
    auto client = lun::LunClient::Connect(socket);
    if (client.ok()) client_ = *std::move(client);
    return client_.has_value();
  });
  if (!connected) return absl::UnavailableError("flocker-lun does not listen");
  auto login = lun::NewMessage<lun::Login>();
  login.epoch = grant.epoch;
  if (!login.portal.Set(address.portal) || !login.target.Set(address.target) || !login.initiator.Set(grant.initiator)) {
    return absl::InvalidArgumentError("the grant is too long");
  }
  RETURN_IF_ERROR(client_->Send(login));
  while (true) {
    ASSIGN_OR_RETURN(const auto received, client_->Receive(SteadyNow() + kTimeout));
    if (const auto* lost = std::get_if<lun::SessionLost>(&received.report)) {
      return absl::UnauthenticatedError(absl::StrCat("login: ", std::string(lost->reason.view())));
    }
    if (std::holds_alternative<lun::Ready>(received.report)) break;
  }
  file_ = unique_fd(open(file.c_str(), O_RDWR | O_CLOEXEC));
  return file_ ? absl::OkStatus() : ErrnoStatus(errno, file);
}

FileUser::~FileUser() {
  client_.reset();
  if (lun_.pid > 0 && !Ended()) {
    kill(lun_.pid, SIGKILL);
    WaitEnd(lun_.pidfd, kTimeout);
  }
  file_.reset();
  umount2((scratch_ / "lun").c_str(), MNT_DETACH);
}

bool FileUser::Ended() const { return WaitEnd(lun_.pidfd, absl::ZeroDuration()); }

absl::Status FileUser::Write(uint64_t offset, const std::string& data) {
  const ssize_t written = pwrite(file_.get(), data.data(), data.size(), static_cast<off_t>(offset));
  return written == static_cast<ssize_t>(data.size()) ? absl::OkStatus() : ErrnoStatus(errno, "pwrite");
}

absl::StatusOr<std::string> FileUser::Read(uint64_t offset, uint32_t size) {
  std::string data(size, '\0');
  const ssize_t got = pread(file_.get(), data.data(), size, static_cast<off_t>(offset));
  if (got != static_cast<ssize_t>(size)) return ErrnoStatus(errno, "pread");
  return data;
}

absl::Status FileUser::Flush() { return fsync(file_.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fsync"); }

absl::Status FileUser::Unmap(uint64_t offset, uint32_t size) {
  return fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), size) == 0
             ? absl::OkStatus()
             : ErrnoStatus(errno, "fallocate");
}

absl::StatusOr<uint64_t> FileUser::Size() {
  struct stat info {};
  if (fstat(file_.get(), &info) != 0) return ErrnoStatus(errno, "fstat");
  return static_cast<uint64_t>(info.st_size);
}

std::optional<std::string> FileUser::LostReason() {
  while (true) {
    const auto received = client_->Receive(SteadyNow() + absl::Seconds(10));
    if (!received.ok()) return std::nullopt;
    if (const auto* lost = std::get_if<lun::SessionLost>(&received->report)) return std::string(lost->reason.view());
  }
}

}  // namespace flocker::testing
