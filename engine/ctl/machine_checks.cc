#include <cstdio>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/ctl/machine.h"

namespace flocker {
namespace {

constexpr int kOldestTested = 601;  // Linux 6.1, Debian 12's
constexpr int kOldest = 509;        // 5.9 has close_range(2), without which no daemon starts another

Check Good(std::string subject, std::string found) {
  return {std::move(subject), Verdict::kGood, std::move(found), ""};
}
Check Bad(std::string subject, std::string found, std::string remedy) {
  return {std::move(subject), Verdict::kBad, std::move(found), std::move(remedy)};
}
Check Warning(std::string subject, std::string found, std::string remedy) {
  return {std::move(subject), Verdict::kWarning, std::move(found), std::move(remedy)};
}

Check CheckKernel(const std::string& release) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2) {
    return Warning("kernel", absl::StrCat("cannot tell the version of '", release, "'"), "use Linux 6.1 or later");
  }
  const int version = major * 100 + minor;
  if (version < kOldest) return Bad("kernel", absl::StrCat("Linux ", release), "use Linux 6.1 (Debian 12) or later");
  if (version < kOldestTested) {
    return Warning("kernel", absl::StrCat("Linux ", release, " is older than what Flocker is tested with"),
                   "use Linux 6.1 (Debian 12) or later");
  }
  return Good("kernel", absl::StrCat("Linux ", release));
}

Check CheckMountNamespaces(const MachineFacts& facts) {
  std::vector<std::string> apart;
  int looked = 0;
  for (const DaemonFacts& daemon : facts.daemons) {
    if (!absl::StartsWith(daemon.name, "flocker-") || daemon.name == "flocker-control") continue;
    ++looked;
    if (!daemon.host_mounts) apart.push_back(absl::StrCat(daemon.name, " (pid ", daemon.pid, ")"));
  }
  if (apart.empty()) {
    return Good("mount namespace",
                looked == 0 ? "no daemon of a node runs here" : absl::StrCat("the host's, for ", looked, " daemons"));
  }
  return Bad("mount namespace", absl::StrCat(absl::StrJoin(apart, ", "), " cannot show the host what is mounted"),
             "run it in the host's mount namespace: no container, and no PrivateMounts, PrivateTmp or ProtectSystem in "
             "its unit");
}

void CheckNode(const MachineFacts& facts, std::vector<Check>& checks) {
  const std::string as_root = facts.root ? "" : " (run flockerctl doctor as root to be sure)";
  checks.push_back(CheckKernel(facts.kernel));
  checks.push_back(facts.fuse_error.empty()
                       ? Good("FUSE", "/dev/fuse opens")
                       : Bad("FUSE", facts.fuse_error + as_root, "modprobe fuse, and let this machine have /dev/fuse"));
  if (!facts.fuse_control) {
    checks.push_back(Warning("FUSE", "/sys/fs/fuse/connections is empty, so a tree that hangs could not be aborted",
                             "mount -t fusectl fusectl /sys/fs/fuse/connections"));
  }
  checks.push_back(facts.loop_error.empty() ? Good("loop devices", "/dev/loop-control opens")
                                            : Bad("loop devices", facts.loop_error + as_root,
                                                  "modprobe loop, and let this machine have /dev/loop-control"));
  if (!facts.may_grow) {
    checks.push_back(Warning("growing", "this process lacks CAP_SYS_RESOURCE, so mounted filesystems would not grow",
                             "run flocker-agent with it, and flockerctl doctor as root"));
  }
  checks.push_back(CheckMountNamespaces(facts));
}

void CheckControl(const MachineFacts& facts, std::vector<Check>& checks) {
  bool tgtd = false;
  for (const DaemonFacts& daemon : facts.daemons) tgtd = tgtd || daemon.name == "tgtd";
  checks.push_back(
      facts.local_array ? Good("tgtd", "not needed: the array is local")
      : tgtd            ? Good("tgtd", "runs")
                        : Bad("tgtd", "does not run here",
                              "start tgtd, as in 'tgtd -t 2'; if the array head is another machine, ask doctor there; with "
                                         "`array: local` in control.yml none is needed"));
  for (const PortFacts& port : facts.ports) {
    const std::string subject = absl::StrCat("port ", port.port);
    if (port.owner.empty()) {
      checks.push_back(Good(subject, "free"));
    } else if (absl::StartsWith(port.owner, "flocker-control")) {
      checks.push_back(Good(subject, absl::StrCat(port.owner, " listens")));
    } else {
      checks.push_back(Bad(subject, absl::StrCat(port.owner, " listens on it"),
                           "end that, or let flocker-control listen elsewhere with --listen"));
    }
  }
}

}  // namespace

std::set<MachineRole> RolesOf(const MachineFacts& facts) {
  std::set<MachineRole> roles;
  for (const DaemonFacts& daemon : facts.daemons) {
    if (daemon.name == "flocker-agent") roles.insert(MachineRole::kNode);
    if (daemon.name == "flocker-control") roles.insert(MachineRole::kControl);
  }
  if (roles.empty()) roles.insert(facts.root ? MachineRole::kNode : MachineRole::kClient);
  return roles;
}

std::vector<std::string> ProgramsOf(MachineRole role, bool local_array) {
  switch (role) {
    case MachineRole::kClient:
      return {};
    case MachineRole::kNode:
      return {"mkfs.ext4", "e2fsck", "resize2fs"};
    case MachineRole::kControl:
      if (local_array) return {};
      return {"tgtadm"};
  }
  return {};
}

std::vector<Check> CheckMachine(const MachineFacts& facts, const std::set<MachineRole>& roles) {
  std::vector<Check> checks;
  if (roles.contains(MachineRole::kNode)) CheckNode(facts, checks);
  if (roles.contains(MachineRole::kControl)) CheckControl(facts, checks);
  if (!facts.missing_programs.empty()) {
    checks.push_back(Bad("programs", absl::StrCat(absl::StrJoin(facts.missing_programs, ", "), " not found in PATH"),
                         "apt-get install e2fsprogs (a node) or tgt (the array head)"));
  }
  return checks;
}

}  // namespace flocker
