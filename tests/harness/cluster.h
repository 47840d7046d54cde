// A whole cluster on this machine for one test: a tgtd (or none: local_array), flocker-control, and a flocker-agent
// with its tree for every node, the same binaries and the same way as in scripts/quickstart.
//
//   <dir>/pool               what the array keeps its LUNs in
//   <dir>/control/           flocker-control's state; it listens on <dir>/control.sock
//   <dir>/<node>/            an agent's root
//   <dir>/tree.<node>/       its tree
//   <dir>/certificates/      with ClusterOptions::certificates: a directory for control, each node, and the user ada
//   <dir>/<part>.log         what each daemon said; shown when the test failed
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "engine/base/subprocess.h"
#include "tests/harness/daemon.h"
#include "tests/harness/scratch.h"
#include "tests/harness/side_network.h"
#include "tests/harness/tgtd.h"

namespace flocker::testing {

struct ClusterOptions {
  std::vector<std::string> nodes = {"alpha", "beta"};
  uint64_t pool_bytes = 0;    // 0: a directory; else a tmpfs of that size
  uint64_t state_bytes = 0;   // the same of control's state
  std::string pool;           // a directory that exists, instead of one in <dir>
  std::string apart;          // a node that reaches control and the array only over side_network()
  bool certificates = false;  // nodes reach control by TCP with certificates, made by `flockerctl ca`
  std::vector<std::string> control_flags;
  std::vector<std::string> agent_flags;
  bool local_array = false;    // files of this machine, without a tgtd
  bool docker_plugin = false;  // at DockerPlugins(node)/flocker.sock
  std::string agent_binaries;  // a directory with flocker-agent, flocker-lun and flocker-fs; empty: the build's
};

class TestCluster {
 public:
  explicit TestCluster(ClusterOptions options = {});

  // Ends everything in an order that leaves nothing hanging. Unless the test has failed already, every dataset is
  // destroyed first, and it is a failure if the nodes then still hold a mount, a loop device, a LUN server or an iSCSI
  // session, if a daemon does not end by SIGTERM, or if anything at all is left in the end.
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  // Starts every part; returns when both trees show all nodes.
  absl::Status Start();

  Tgtd& array() { return *array_; }
  Daemon& control() { return *control_; }
  Daemon& agent(const std::string& node) { return *agents_.at(node); }
  // Start the part and wait until it answers.
  absl::Status StartControl();
  absl::Status StartAgent(const std::string& node);

  // Every process of a node: its agent, its LUN servers, its flocker-fs.
  std::vector<pid_t> Processes(const std::string& node) const;
  // To all of them, the agent first. SIGKILL: and waits until they are gone.
  void SignalNode(const std::string& node, int signal);
  SideNetwork& side_network() { return *side_network_; }
  // The LUN's bytes as the array keeps them.
  std::string BackingFile(const std::string& dataset);
  // The dataset's id; a failure when none is known by that name.
  std::string Id(const std::string& dataset);
  bool Happened(const std::string& event_text) { return absl::StrContains(Ctl({"events"}).output, event_text); }

  std::string dir() const { return scratch_.path(); }
  std::string tree(const std::string& node) const { return scratch_ / ("tree." + node); }
  // The directory with the node's plugin for dockerd.
  std::string DockerPlugins(const std::string& node) const { return scratch_ / ("plugins." + node); }
  // Where the dataset is in the tree of the node it is on.
  std::string Path(const std::string& node, const std::string& dataset) const;
  // Its mount outside the tree, or an empty text when it is not on that node.
  std::string NativePath(const std::string& node, const std::string& dataset);

  // flocker-control with its usual flags and these, run to its end: for what it does once.
  CommandResult ControlOnce(const std::vector<std::string>& flags);
  // `flockerctl <args…>`: exit code and output.
  CommandResult Ctl(const std::vector<std::string>& args);
  // Where control listens for those with certificates, and the directory of somebody's.
  const std::string& certified_address() const { return certified_address_; }
  std::string Certificates(const std::string& whose) const { return scratch_ / ("certificates/" + whose); }

  // What `flockerctl ls` shows of a dataset; nothing when it does not.
  struct Row {
    std::string id;
    std::string size;
    std::string metadata;
    std::string status;
    std::string node;  // the name of the SERVER
  };
  std::vector<Row> List();
  std::optional<Row> Find(const std::string& dataset);
  bool Connected(const std::string& node);
  bool AttachedOn(const std::string& node, const std::string& dataset);
  std::string Why(const std::string& dataset) { return Ctl({"why", dataset}).output; }

  // The process that serves the dataset's LUN on any node; -1 when there is none.
  pid_t LunServer(const std::string& dataset);
  // The flocker-fs of a node; -1 when there is none.
  pid_t TreeDaemon(const std::string& node) const;
  // What `scripts/sweep --list` finds of this cluster: processes, mounts, loop devices, one a line.
  std::vector<std::string> Belongings() const;

 private:
  void MakeCertificates();
  void DestroyAll();
  void ExpectNothingHeld();
  bool TreeAnswers(const std::string& node) const;

  const ClusterOptions options_;
  const ScratchDir scratch_;
  const std::string pool_;
  const std::string outer_owner_;  // FLOCKER_OWNER before and after this cluster
  std::unique_ptr<SideNetwork> side_network_;
  std::unique_ptr<Tgtd> array_;
  std::string certified_address_;
  std::vector<std::string> control_argv_;
  std::unique_ptr<Daemon> control_;
  std::map<std::string, std::unique_ptr<Daemon>> agents_;
};

}  // namespace flocker::testing
