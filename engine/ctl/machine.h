// This machine as far as Flocker needs something of it: what `doctor` found (facts), and what that means (checks).
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "engine/ctl/check.h"

namespace flocker {

// What a machine is for. A node runs flocker-agent, control flocker-control beside the array.
enum class MachineRole { kClient, kNode, kControl };

struct DaemonFacts {
  std::string name;
  pid_t pid = 0;
  bool host_mounts = true;  // it sees the mounts that pid 1 sees
};

struct PortFacts {
  int port = 0;
  std::string owner;  // "nginx (pid 12)" listens on it; empty: nobody
};

struct MachineFacts {
  std::string kernel;  // uname -r
  bool root = false;
  std::string fuse_error;                     // why /dev/fuse cannot be opened; empty: it can
  bool fuse_control = false;                  // /sys/fs/fuse/connections shows the connections
  std::string loop_error;                     // the same of /dev/loop-control
  bool may_grow = false;                      // CAP_SYS_RESOURCE
  bool local_array = false;                   // flocker-control, if it runs, or else its file, says `array: local`
  std::vector<std::string> missing_programs;  // of ProgramsOf(role)
  std::vector<DaemonFacts> daemons;           // flocker-… and tgtd
  std::vector<PortFacts> ports;               // those that flocker-control listens on
};

// What the machine is used for already; a root who asks before anything runs prepares a node.
std::set<MachineRole> RolesOf(const MachineFacts& facts);

// What its daemons call, without a path.
std::vector<std::string> ProgramsOf(MachineRole role, bool local_array);

// Whether a flocker-control with these arguments, its own name not among them, started in `directory`, keeps datasets
// in files of its machine. Reads the settings' file that they name, `default_file` if there are none; one that cannot
// be read says nothing.
bool HasLocalArray(std::vector<std::string> arguments, const std::string& directory, const std::string& default_file);

// Looks; changes nothing. `roles`: whose programs to look for.
MachineFacts ReadMachine(const std::set<MachineRole>& roles);

// What is missing for the roles. Pure.
std::vector<Check> CheckMachine(const MachineFacts& facts, const std::set<MachineRole>& roles);

}  // namespace flocker
