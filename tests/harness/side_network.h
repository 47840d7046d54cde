// A network namespace of a node's own, joined to this host by a veth pair that can be cut:
//
//   control, tgtd, other nodes -- host_address() ==veth== the namespace: whatever runs under prefix()
//
// Everything but the network is the host's. It is gone when this object and the last process in it are.
#pragma once

#include <string>
#include <vector>

#include "engine/base/unique_fd.h"

namespace flocker::testing {

class SideNetwork {
 public:
  // Aborts the test process with a message when it cannot be made.
  SideNetwork();
  ~SideNetwork();
  SideNetwork(const SideNetwork&) = delete;
  SideNetwork& operator=(const SideNetwork&) = delete;

  // This host as the namespace sees it; this host reaches itself under it, cut or not.
  const std::string& host_address() const { return host_address_; }
  // In front of a command: runs it in the namespace.
  std::vector<std::string> prefix() const;

  // No packet passes any more, and nobody is told: connections stand as they are. Heal ends that.
  void Cut();
  void Heal();

 private:
  unique_fd namespace_;
  std::string host_end_;
  std::string host_address_;
};

}  // namespace flocker::testing
