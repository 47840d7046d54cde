// A network namespace of a node's own, joined to this host by a veth pair that can be cut:
//
//   control, other nodes -- host_address() --+
//   tgtd ---------------- storage_address() -+ ==veth== the namespace: whatever runs under prefix()
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

  // This host as the namespace sees it, on two networks; this host reaches itself under both, cut or not.
  const std::string& host_address() const { return host_address_; }
  const std::string& storage_address() const { return storage_address_; }
  // In front of a command: runs it in the namespace.
  std::vector<std::string> prefix() const;

  // No packet passes any more, and nobody is told: connections stand as they are. Heal ends that.
  void Cut();
  void Heal();
  // The same for what the namespace sends to storage_address() alone.
  void CutStorage();
  void HealStorage();

 private:
  // `ip` with these arguments, in the namespace.
  void Inside(const std::vector<std::string>& arguments);

  unique_fd namespace_;
  std::string host_end_;
  std::string host_address_;
  std::string storage_address_;
};

}  // namespace flocker::testing
