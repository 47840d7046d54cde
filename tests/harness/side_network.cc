#include "tests/harness/side_network.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {
namespace {

constexpr char kNodeEnd[] = "veth0";

void Must(const std::vector<std::string>& argv) {
  const auto done = RunChecked(argv, absl::Seconds(20));
  if (done.ok()) return;
  std::fprintf(stderr, "%s\n", done.status().ToString().c_str());
  std::abort();
}

// A thread's network namespace is its own affair, and needs no process to live on: a descriptor does.
unique_fd NewNetworkNamespace() {
  unique_fd made;
  std::thread([&] {
    if (unshare(CLONE_NEWNET) == 0) made.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }).join();
  if (made) return made;
  std::perror("no network namespace");
  std::abort();
}

}  // namespace

SideNetwork::SideNetwork() : namespace_(NewNetworkNamespace()) {
  // A /30 of its own for each process: tests run beside each other.
  const int pid = getpid();
  const std::string net = absl::StrCat("10.213.", pid / 64 % 256, ".");
  const int first = pid % 64 * 4;
  host_end_ = absl::StrCat("ft", pid);
  host_address_ = absl::StrCat(net, first + 1);
  Must({"ip", "link", "add", host_end_, "type", "veth", "peer", "name", kNodeEnd, "netns",
        absl::StrCat("/proc/", pid, "/fd/", namespace_.get())});
  Must({"ip", "addr", "add", absl::StrCat(host_address_, "/30"), "dev", host_end_});
  Must({"ip", "link", "set", host_end_, "up"});
  for (std::vector<std::string> inside :
       {std::vector<std::string>{"ip", "link", "set", "lo", "up"},
        {"ip", "addr", "add", absl::StrCat(net, first + 2, "/30"), "dev", kNodeEnd}}) {
    std::vector<std::string> argv = prefix();
    argv.insert(argv.end(), inside.begin(), inside.end());
    Must(argv);
  }
  Heal();
}

SideNetwork::~SideNetwork() {
  const auto done = RunChecked({"ip", "link", "delete", host_end_}, absl::Seconds(20));
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.status().ToString().c_str());
}

std::vector<std::string> SideNetwork::prefix() const {
  return {"nsenter", absl::StrCat("--net=/proc/", getpid(), "/fd/", namespace_.get()), "--"};
}

void SideNetwork::Cut() {
  std::vector<std::string> argv = prefix();
  argv.insert(argv.end(), {"ip", "link", "set", kNodeEnd, "down"});
  Must(argv);
}

void SideNetwork::Heal() {
  std::vector<std::string> argv = prefix();
  argv.insert(argv.end(), {"ip", "link", "set", kNodeEnd, "up"});
  Must(argv);
}

}  // namespace flocker::testing
