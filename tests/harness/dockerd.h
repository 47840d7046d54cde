// A real dockerd for one test, in place of one on a machine of its own: it has its own mount namespace, in which
// /run/docker/plugins is a directory of the test's, and its own pid namespace, with which all of its containers end.
// Mounts of this machine reach it (its namespace is a slave), as they reach a dockerd in the machine's own namespace.
// No network; one image, `box` (busybox).
//
//   <dir>/data, exec, docker.sock, dockerd.log
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/subprocess.h"
#include "tests/harness/daemon.h"

namespace flocker::testing {

class Dockerd {
 public:
  // Starts nothing yet. `dir` is made; `plugins` is the directory with the plugins' sockets; `flags` are dockerd's.
  Dockerd(std::string dir, std::string plugins, std::vector<std::string> flags = {});
  // Removes every container, ends dockerd, then whatever is left in its pid namespace.
  ~Dockerd();
  Dockerd(const Dockerd&) = delete;
  Dockerd& operator=(const Dockerd&) = delete;

  // Returns when it answers and has its image. Again after Kill(): the same data, the same namespaces.
  absl::Status Start();
  // SIGKILL, as a crash: containers and their shims go on.
  void Kill();

  // `docker <args…>`: exit code and output. A result of -1 when it takes longer than `timeout`.
  CommandResult Docker(const std::vector<std::string>& args, absl::Duration timeout = absl::Seconds(60)) const;
  // `docker run --network none <args…>`.
  CommandResult Run(const std::vector<std::string>& args, absl::Duration timeout = absl::Seconds(60)) const;
  // Its argv, for who starts it himself.
  std::vector<std::string> Command(const std::vector<std::string>& args) const;
  std::string log() const { return daemon_ == nullptr ? "" : daemon_->log(); }

 private:
  absl::Status MakeNamespaces();
  absl::Status MakeImage() const;

  const std::string dir_;
  const std::string plugins_;
  const std::vector<std::string> flags_;
  const std::string cgroup_;  // of its containers, in every hierarchy
  Child holder_;              // of the namespaces
  pid_t init_ = -1;           // process 1 of the pid namespace, as numbered outside
  std::unique_ptr<Daemon> daemon_;
};

}  // namespace flocker::testing
