// A tgtd of the test's own: a free port (on loopback, or on an address of this host's), a free control number, gone
// with everything in it when the test ends.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {

class Tgtd {
 public:
  // Starts it and waits until tgtadm answers. Aborts the test process with a message when it cannot.
  explicit Tgtd(std::string address = "127.0.0.1");
  ~Tgtd();
  Tgtd(const Tgtd&) = delete;
  Tgtd& operator=(const Tgtd&) = delete;

  std::string portal() const;  // <address>:<port>
  int port() const { return port_; }
  int control_number() const { return control_number_; }
  pid_t pid() const { return child_.pid; }

  // SIGKILL, as a crash; every target is forgotten. Start() runs it again with the same port and control number.
  void Kill();
  void Start();

  // `tgtadm -C <n> <args…>`; its output.
  absl::StatusOr<std::string> Admin(const std::vector<std::string>& args) const;

 private:
  const std::string address_;
  int control_number_ = 0;
  int port_ = 0;
  Child child_;
};

// A TCP port on loopback that was free a moment ago.
int FreePort();

}  // namespace flocker::testing
