#include "tests/harness/tgtd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace flocker::testing {

int FreePort() {
  const unique_fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("no free port");
    std::abort();
  }
  return ntohs(address.sin_port);
}

Tgtd::Tgtd(std::string address) : address_(std::move(address)) {
  // The control number is a 16-bit name of a socket (tgt's usr/mgmt.c); the process id keeps tests beside each other
  // apart, and a taken one is noticed because our own child dies.
  control_number_ = 1000 + getpid() % 30000;
  port_ = FreePort();
  Start();
}

void Tgtd::Start() {
  for (int attempt = 0; attempt < 20; ++attempt) {
    ChildOptions options;
    options.argv = {"tgtd", "-f", "-C",      absl::StrCat(control_number_),
                    "-t",   "2",  "--iscsi", absl::StrCat("portal=", portal())};
    auto child = SpawnChild(options);
    if (!child.ok()) {
      std::fprintf(stderr, "tgtd: %s\n", std::string(child.status().message()).c_str());
      std::abort();
    }
    child_ = *std::move(child);
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (absl::Now() < deadline && !WaitEnd(child_.pidfd, absl::Milliseconds(20))) {
      if (Admin({"--lld", "iscsi", "--op", "show", "--mode", "sys"}).ok()) return;
    }
    Kill();
  }
  std::fprintf(stderr, "tgtd on control number %d and port %d does not come up\n", control_number_, port_);
  std::abort();
}

void Tgtd::Kill() {
  kill(child_.pid, SIGKILL);
  WaitEnd(child_.pidfd, absl::Seconds(10));
  // A killed tgtd leaves its socket and lock file; a new one removes the socket itself (tgt's usr/mgmt.c, ipc_init).
}

Tgtd::~Tgtd() {
  Kill();
  for (const char* suffix : {"", ".lock"})
    unlink(absl::StrCat("/var/run/tgtd/socket.", control_number_, suffix).c_str());
}

std::string Tgtd::portal() const { return absl::StrCat(address_, ":", port_); }

absl::StatusOr<std::string> Tgtd::Admin(const std::vector<std::string>& args) const {
  std::vector<std::string> argv = {"tgtadm", "-C", absl::StrCat(control_number_)};
  argv.insert(argv.end(), args.begin(), args.end());
  return RunChecked(argv, absl::Seconds(10));
}

}  // namespace flocker::testing
