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
  // Two /30 of its own for each process: tests run beside each other.
  const int pid = getpid();
  const int first = pid % 64 * 4;
  const auto address = [&](int net, int number) {
    return absl::StrCat("10.", net, ".", pid / 64 % 256, ".", first + number);
  };
  constexpr int kHostNet = 213;
  constexpr int kStorageNet = 214;
  host_end_ = absl::StrCat("ft", pid);
  host_address_ = address(kHostNet, 1);
  storage_address_ = address(kStorageNet, 1);
  Must({"ip", "link", "add", host_end_, "type", "veth", "peer", "name", kNodeEnd, "netns",
        absl::StrCat("/proc/", pid, "/fd/", namespace_.get())});
  for (const int net : {kHostNet, kStorageNet}) {
    Must({"ip", "addr", "add", address(net, 1) + "/30", "dev", host_end_});
    Inside({"addr", "add", address(net, 2) + "/30", "dev", kNodeEnd});
  }
  Must({"ip", "link", "set", host_end_, "up"});
  Inside({"link", "set", "lo", "up"});
  Heal();
}

SideNetwork::~SideNetwork() {
  const auto done = RunChecked({"ip", "link", "delete", host_end_}, absl::Seconds(20));
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.status().ToString().c_str());
}

std::vector<std::string> SideNetwork::prefix() const {
  return {"nsenter", absl::StrCat("--net=/proc/", getpid(), "/fd/", namespace_.get()), "--"};
}

void SideNetwork::Inside(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = prefix();
  argv.emplace_back("ip");
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Must(argv);
}

void SideNetwork::Cut() { Inside({"link", "set", kNodeEnd, "down"}); }

void SideNetwork::Heal() { Inside({"link", "set", kNodeEnd, "up"}); }

// A permanent neighbour with a hardware address that nobody has.
void SideNetwork::CutStorage() {
  Inside({"neigh", "replace", storage_address_, "lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev", kNodeEnd});
}

void SideNetwork::HealStorage() { Inside({"neigh", "delete", storage_address_, "dev", kNodeEnd}); }

}  // namespace flocker::testing
