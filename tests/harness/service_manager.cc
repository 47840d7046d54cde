#include "tests/harness/service_manager.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flocker::testing {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

}  // namespace

ServiceManager::ServiceManager(std::string socket)
    : socket_path_(std::move(socket)),
      socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  socket_path_.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  if (!stop_ || bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror(socket_path_.c_str());
    std::abort();
  }
  thread_ = std::thread([this] { Run(); });
}

ServiceManager::~ServiceManager() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void ServiceManager::Prepare(ChildOptions& options) {
  const MutexLock lock(mutex_);
  // LISTEN_PID is the agent's own: a shell becomes the agent.
  std::string script = absl::StrCat("export NOTIFY_SOCKET=", socket_path_);
  if (!store_.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, fd] : store_) {
      options.keep.emplace_back(fd.get(), kFirst + static_cast<int>(names.size()));
      names.push_back(name);
    }
    absl::StrAppend(&script, " LISTEN_PID=$$ LISTEN_FDS=", names.size(), " LISTEN_FDNAMES=", absl::StrJoin(names, ":"));
  }
  std::vector<std::string> argv = {"sh", "-c", absl::StrCat(script, "; exec \"$@\""), "sh"};
  argv.insert(argv.end(), options.argv.begin(), options.argv.end());
  options.argv = std::move(argv);
}

std::vector<std::string> ServiceManager::Names() const {
  const MutexLock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, fd] : store_) names.push_back(name);
  return names;
}

bool ServiceManager::Heard(const std::string& state) const {
  const MutexLock lock(mutex_);
  return heard_.contains(state);
}

void ServiceManager::Store(const std::string& name, unique_fd fd) {
  const MutexLock lock(mutex_);
  store_[name] = std::move(fd);
}

void ServiceManager::Run() {
  while (true) {
    std::array<pollfd, 2> ready = {{{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) std::abort();
    while (ReceiveOne()) {
    }
    if (ready[1].revents != 0) return;
  }
}

bool ServiceManager::ReceiveOne() {
  std::array<char, 4096> text{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (got < 0) return false;
  unique_fd fd;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof number);
    fd.reset(number);
  }
  std::string name;
  bool store = false;
  bool remove = false;
  const MutexLock lock(mutex_);
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), static_cast<size_t>(got)), '\n')) {
    heard_.insert(std::string(line));
    if (absl::ConsumePrefix(&line, "FDNAME=")) name = std::string(line);
    store = store || line == "FDSTORE=1";
    remove = remove || line == "FDSTOREREMOVE=1";
  }
  if (store && fd) store_[name] = std::move(fd);
  if (remove) store_.erase(name);
  return true;
}

}  // namespace flocker::testing
