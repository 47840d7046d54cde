#include "lab/cluster.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"

namespace flocker::lab {
namespace {

constexpr char kPortal[] = "10.77.1.1:3260";
constexpr absl::Duration kPoll = absl::Milliseconds(50);

// Sparse. Control promises ten times as much, 75 GiB to a dataset; what is destroyed counts on.
constexpr uint64_t kPoolBytes = uint64_t{512} << 30;

std::string Storage(int host) { return absl::StrCat("10.77.1.", host); }
std::string Control(int host) { return absl::StrCat("10.77.2.", host); }
std::string Net(const std::string& address) { return address + "/24"; }

}  // namespace

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Create(const std::string& dir, const std::string& binaries,
                                                         const ClusterOptions& options) {
  ASSIGN_OR_RETURN(auto lab, Lab::Create(dir, binaries));
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(lab)));  // the constructor is private
  const std::string control_host = Control(options.control_apart ? 2 : 1);

  std::vector<std::string> hosts = {absl::StrCat(Control(1), ":array"), absl::StrCat(control_host, ":control")};
  for (int i = 1; i <= options.nodes; ++i) hosts.push_back(absl::StrCat(Control(10 + i), ":node", i));
  const std::map<std::string, std::string> settings = {
      {"LAB_HOSTS", absl::StrJoin(hosts, ",")}, {"LAB_PORTAL", kPortal}, {"LAB_CONTROL", control_host + ":4524"}};

  MachineOptions array = {.name = "array", .disk_bytes = kPoolBytes, .settings = settings};
  array.services = {"tgtd", options.control_apart ? "sshd" : "control"};
  ASSIGN_OR_RETURN(cluster->array_, cluster->lab_->Add(array, {{.name = "storage", .addresses = {Net(Storage(1))}},
                                                               {.name = "control", .addresses = {Net(Control(1))}}}));
  cluster->control_ = cluster->array_;
  if (options.control_apart) {
    MachineOptions control = {.name = "control", .services = {"control"}, .settings = settings};
    // One connection for all commands: a handshake takes an emulated machine a second and more.
    control.settings["LAB_TGTADM_PREFIX"] =
        "ssh+-q+-oControlMaster=auto+-oControlPath=/run/ssh.%h+-oControlPersist=60+-oServerAliveInterval=2+array";
    ASSIGN_OR_RETURN(cluster->control_,
                     cluster->lab_->Add(control, {{.name = "control", .addresses = {Net(control_host)}}}));
  }
  for (int i = 1; i <= options.nodes; ++i) {
    MachineOptions node = {.name = absl::StrCat("node", i), .kernel = options.kernel, .settings = settings};
    if (options.systemd) {
      node.settings["LAB_UNIT"] = "flocker-agent.service";
    } else {
      node.services.push_back("agent");
    }
    if (options.docker) {
      node.services.push_back("docker");
      node.memory_mib = 1024;
    }
    ASSIGN_OR_RETURN(
        Machine * machine,
        cluster->lab_->Add(node, {{.name = "net", .addresses = {Net(Storage(10 + i)), Net(Control(10 + i))}}}));
    cluster->nodes_.push_back(machine);
  }
  return cluster;
}

absl::Status Cluster::Boot(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  for (Machine* machine : lab_->machines()) {
    if (!machine->running()) RETURN_IF_ERROR(machine->Boot());
  }
  for (Machine* machine : lab_->machines()) RETURN_IF_ERROR(machine->WaitReady(deadline - absl::Now()));
  return WaitWhole(deadline - absl::Now());
}

bool Cluster::Whole() {
  std::vector<std::string> names;
  for (const Machine* node : nodes_) names.push_back(absl::StrCat("-d /flocker/", node->name()));
  for (Machine* node : nodes_) {
    const auto seen = node->guest().Run(absl::StrCat("[[ ", absl::StrJoin(names, " && "), " ]]"), absl::Seconds(5));
    if (!seen.ok() || seen->exit_code != 0) return false;
  }
  const auto listed = Ctl("list-nodes | grep -c ' connected$'");
  return listed.ok() && listed->output == absl::StrCat(nodes_.size(), "\n");
}

absl::Status Cluster::WaitWhole(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!Whole()) {
    if (absl::Now() > deadline) {
      const auto listed = Ctl("list-nodes");
      return absl::DeadlineExceededError(absl::StrCat("the cluster does not become whole: ",
                                                      listed.ok() ? listed->output : listed.status().message()));
    }
    absl::SleepFor(kPoll);
  }
  return absl::OkStatus();
}

absl::StatusOr<CommandResult> Cluster::Ctl(const std::string& args, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    auto result = control_->guest().Run(absl::StrCat("set -o pipefail; flockerctl ", args), timeout);
    // flockerctl gives up a connection after 2 s, which an emulated machine on a busy host may need.
    if (!result.ok() || !absl::StrContains(result->output, "no-control") || absl::Now() > deadline) return result;
    absl::SleepFor(kPoll);
  }
}

}  // namespace flocker::lab
