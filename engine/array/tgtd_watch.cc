#include "engine/array/tgtd_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker {
namespace {

constexpr int kLookAgainMs = 100;  // while there is no tgtd; nothing announces its start

}  // namespace

TgtdWatch::TgtdWatch(int control_number, std::function<void()> died)
    : control_number_(control_number), died_(std::move(died)), stop_(eventfd(0, EFD_CLOEXEC)) {
  thread_ = std::thread([this] { Run(); });
}

TgtdWatch::~TgtdWatch() {
  const uint64_t one = 1;
  if (write(stop_.get(), &one, sizeof one) != sizeof one) std::terminate();  // an eventfd's first write cannot fail
  thread_.join();
}

void TgtdWatch::Run() {
  bool complained = false;
  while (true) {
    bool ended = false;
    const auto tgtd = FindTgtd();
    if (!tgtd.ok() && !std::exchange(complained, true)) {
      spdlog::warn("waiting for tgtd: {}", std::string(tgtd.status().message()));
    }
    if (StoppedWithin(tgtd.ok() ? -1 : kLookAgainMs, tgtd.ok() ? tgtd->get() : -1, &ended)) return;
    if (!ended) continue;
    complained = false;
    died_();
  }
}

// True when it is time to end; else `*fd_ready` says whether `fd` or the time limit ended the wait.
bool TgtdWatch::StoppedWithin(int milliseconds, int fd, bool* fd_ready) const {
  std::array<pollfd, 2> waits = {{{stop_.get(), POLLIN, 0}, {fd, POLLIN, 0}}};
  int ready = 0;
  do {
    ready = poll(waits.data(), waits.size(), milliseconds);
  } while (ready < 0 && errno == EINTR);
  *fd_ready = waits[1].revents != 0;
  return waits[0].revents != 0;
}

absl::StatusOr<unique_fd> TgtdWatch::FindTgtd() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // TGT_IPC_NAMESPACE of tgt's usr/tgtadm.h
  const std::string path = absl::StrCat("/var/run/tgtd/socket.", control_number_);
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const unique_fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot connect to ", path));
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoStatus(errno, absl::StrCat("no peer of ", path));
  }
  return OpenPidfd(peer.pid);
}

}  // namespace flocker
