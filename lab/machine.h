// One machine: a QEMU, its data disk, and the ways to treat both as hardware is treated.
//
//   <dir>/console.log   the kernel's and init's messages
//   <dir>/console.sock  a root shell (hvc0) for a person
//   <dir>/data.img      what its data disk keeps; <dir>/*.sock: QMP, guest agent, disk
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lab/disk.h"
#include "lab/guest.h"
#include "lab/image.h"
#include "lab/process.h"
#include "lab/qmp.h"

namespace flocker::lab {

// A network card: its socket at the switch, and its addresses ("10.77.1.1/24").
struct Card {
  std::string socket;
  std::vector<std::string> addresses;
};

struct MachineOptions {
  std::string name;
  std::string kernel = "release";  // of the image's (image.h)
  uint64_t memory_mib = 384;
  uint64_t disk_bytes = uint64_t{4} << 30;      // sparse
  std::vector<std::string> services;            // directories of guest/services
  std::map<std::string, std::string> settings;  // further words of init's environment, without blanks
};

class Machine {
 public:
  // `dir` exists. Nothing starts yet.
  Machine(MachineOptions options, const Image& image, std::string payload, std::string dir);
  ~Machine() { PowerCut(); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The card becomes eth0, eth1… by order; only while it is off. `number`: unique in the lab, for the address.
  void AddCard(Card card, int number);

  // Starts it; does not wait for what runs in it. From a thread that outlives the machine (process.h).
  absl::Status Boot();
  // Returns when its init is done and the guest agent answers.
  absl::Status WaitReady(absl::Duration timeout = absl::Seconds(90));
  // As by its own command: services end, filesystems are unmounted; returns when it is off.
  absl::Status Shutdown(absl::Duration timeout = absl::Seconds(60));
  // The plug is pulled: what the data disk had not been told to flush is lost.
  void PowerCut();
  // The reset button: memory is lost, the disk's cache is not.
  absl::Status Reset();
  // All its CPUs stand still, and do not notice.
  absl::Status Pause();
  absl::Status Resume();

  bool running() const { return qemu_.running(); }
  const std::string& name() const { return options_.name; }
  const std::string& dir() const { return dir_; }
  Guest& guest() { return guest_; }

 private:
  std::vector<std::string> CommandLine() const;

  const MachineOptions options_;
  const Image image_;
  const std::string payload_;
  const std::string dir_;
  std::vector<std::pair<Card, int>> cards_;
  Disk disk_;
  Process qemu_;
  Qmp qmp_;
  Guest guest_;
};

}  // namespace flocker::lab
