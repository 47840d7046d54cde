#include "tests/bench/served_file.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/wait.h"

namespace flocker::bench {
namespace {

constexpr char kInitiator[] = "iqn.2026-01.test.flocker:bench";
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr absl::Duration kPatience = absl::Seconds(20);

}  // namespace

absl::Status WriteFilledFile(const std::string& path, uint64_t size) {
  const unique_fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  std::vector<uint64_t> piece(kMiB / sizeof(uint64_t));
  std::mt19937_64 random(1);
  for (uint64_t& word : piece) word = random();
  for (uint64_t at = 0; at < size; at += kMiB) {
    piece[0] = at;
    const auto length = static_cast<size_t>(std::min(kMiB, size - at));
    if (pwrite(fd.get(), piece.data(), length, static_cast<off_t>(at)) != static_cast<ssize_t>(length)) {
      return ErrnoStatus(errno, absl::StrCat("cannot fill ", path));
    }
  }
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot sync ", path));
  return absl::OkStatus();
}

absl::Status MakeSparseFile(const std::string& path, uint64_t size) {
  const unique_fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  }
  return absl::OkStatus();
}

absl::Status BenchArray::Admin(std::vector<std::string> args) const {
  args.insert(args.begin(), {"--lld", "iscsi"});
  return tgtd_.Admin(args).status();
}

absl::StatusOr<BenchArray::Lun> BenchArray::Add(const std::string& name, uint64_t size, Content content) {
  Lun lun{.name = name,
          .tid = absl::StrCat(++targets_),
          .target = "iqn.2026-01.test.flocker:" + name,
          .backing = scratch_ / absl::StrCat(name, ".backing"),
          .size = size};
  RETURN_IF_ERROR(content == Content::kRandom ? WriteFilledFile(lun.backing, size) : MakeSparseFile(lun.backing, size));
  RETURN_IF_ERROR(Admin({"--op", "new", "--mode", "target", "--tid", lun.tid, "-T", lun.target}));
  RETURN_IF_ERROR(Admin({"--op", "update", "--mode", "target", "--tid", lun.tid, "--name", "MaxRecvDataSegmentLength",
                         "--value", "262144"}));
  const std::vector<std::string> which = {"--mode", "logicalunit", "--tid", lun.tid, "--lun", "1"};
  std::vector<std::string> words = {"--op", "new", "-b", lun.backing, "--bstype", "rdwr"};
  words.insert(words.end(), which.begin(), which.end());
  RETURN_IF_ERROR(Admin(words));
  words = {"--op", "update", "--params", absl::StrCat("thin_provisioning=1,scsi_id=", name)};
  words.insert(words.end(), which.begin(), which.end());
  RETURN_IF_ERROR(Admin(words));
  RETURN_IF_ERROR(Admin({"--op", "bind", "--mode", "target", "--tid", lun.tid, "--initiator-address", "ALL"}));
  return lun;
}

absl::Status BenchArray::Remove(const Lun& lun) {
  RETURN_IF_ERROR(Admin({"--op", "delete", "--mode", "target", "--tid", lun.tid, "--force"}));
  if (unlink(lun.backing.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot remove ", lun.backing));
  return absl::OkStatus();
}

// setpriv: a bench that is killed takes its peers along.
ServedFile::ServedFile(std::string path, std::vector<std::string> argv)
    : path_(std::move(path)),
      command_line_(absl::StrJoin(argv, " ")),
      daemon_(
          [&] {
            argv.insert(argv.begin(), {"setpriv", "--pdeathsig", "KILL"});
            return argv;
          }(),
          path_ + ".log") {}

ServedFile::~ServedFile() {
  client_.reset();
  if (const absl::Status stopped = daemon_.Stop(); !stopped.ok()) {
    std::fprintf(stderr, "bench: %s\n", std::string(stopped.message()).c_str());
    daemon_.Kill();
  }
  if (Mounted()) umount2(path_.c_str(), MNT_DETACH);
}

absl::Status ServedFile::Start() {
  const unique_fd mountpoint(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!mountpoint) return ErrnoStatus(errno, absl::StrCat("cannot create ", path_));
  return daemon_.Start();
}

bool ServedFile::Mounted() const {
  return absl::StrContains(ReadFile("/proc/self/mountinfo").value_or(""), absl::StrCat(" ", path_, " "));
}

absl::StatusOr<std::unique_ptr<ServedFile>> ServedFile::ByFlockerLun(const BenchArray& array,
                                                                     const BenchArray::Lun& lun,
                                                                     const std::string& binary) {
  const std::string socket = array.directory() / absl::StrCat(lun.name, ".sock");
  const std::string path = array.directory() / lun.name;
  std::unique_ptr<ServedFile> file(
      new ServedFile(path, {binary, "--node", "bench", "--dataset", "0f9f1c3e-0000-4000-8000-00000000be9c",
                            "--mount-epoch", "1", "--mountpoint", path, "--socket", socket}));
  RETURN_IF_ERROR(file->Start());
  const bool connected = bool(testing::Eventually(kPatience, [&] {
    auto client = lun::LunClient::Connect(socket);
    if (client.ok()) file->client_ = *std::move(client);
    return file->client_.has_value() || !file->daemon_.running();
  }));
  if (!connected || !file->client_) {
    return absl::UnavailableError(absl::StrCat(binary, " does not come up: ", file->daemon_.log()));
  }
  auto login = lun::NewMessage<lun::Login>();
  login.epoch = 1;
  login.lun = 1;
  if (!login.portal.Set(array.tgtd().portal()) || !login.target.Set(lun.target) || !login.initiator.Set(kInitiator)) {
    return absl::InternalError("a name is too long for a login");
  }
  RETURN_IF_ERROR(file->client_->Send(login));
  for (const absl::Time deadline = SteadyNow() + kPatience; true;) {
    ASSIGN_OR_RETURN(const auto received, file->client_->Receive(deadline));
    if (std::holds_alternative<lun::Ready>(received.report)) return file;
  }
}

absl::StatusOr<std::unique_ptr<ServedFile>> ServedFile::ByStorageDaemon(const BenchArray& array,
                                                                        const BenchArray::Lun& lun) {
  const std::string path = array.directory() / lun.name;
  std::unique_ptr<ServedFile> file(new ServedFile(
      path, {"qemu-storage-daemon", "--blockdev",
             absl::StrCat("driver=iscsi,node-name=lun,transport=tcp,portal=", array.tgtd().portal(),
                          ",target=", lun.target, ",lun=1,initiator-name=", kInitiator, ",discard=unmap"),
             "--export", absl::StrCat("type=fuse,id=file,node-name=lun,writable=on,mountpoint=", path)}));
  RETURN_IF_ERROR(file->Start());
  // More often than Eventually looks: starting it is part of a figure.
  const absl::Time deadline = SteadyNow() + kPatience;
  while (!file->Mounted() && file->daemon_.running() && SteadyNow() < deadline) absl::SleepFor(absl::Milliseconds(1));
  if (!file->Mounted()) {
    return absl::UnavailableError(absl::StrCat("qemu-storage-daemon does not come up: ", file->daemon_.log()));
  }
  return file;
}

absl::StatusOr<double> ServedFile::CpuSeconds() const {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(daemon_.pid(), &clock) != 0 || clock_gettime(clock, &used) != 0) {
    return absl::NotFoundError(absl::StrCat("a process ended too soon: ", command_line_, "\n", daemon_.log()));
  }
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace flocker::bench
