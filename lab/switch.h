// The lab's network: an Ethernet switch between QEMUs, each connected by a unix socket (-netdev stream: every frame
// with its length before it, 4 bytes big-endian; QEMU's net/stream.c). It learns addresses, and between any two of its
// ports it can be cut, slow, narrow or lossy, in each direction by itself. The host's own network is not touched.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flocker::lab {

// What happens to a frame on its way from one port to another.
struct Link {
  bool cut = false;
  double loss = 0;                              // share of the frames that vanish, 0 to 1
  absl::Duration delay = absl::ZeroDuration();  // added to each frame; they keep their order
  uint64_t bytes_per_second = 0;                // 0: unlimited. Frames wait for at most half a second, then are dropped

  friend bool operator==(const Link&, const Link&) = default;
};
// As in "cut", or "whole, loss 0.05, delay 50ms".
std::string Describe(const Link& link);

class Switch {
 public:
  // Runs on a thread of its own. `log` collects every change of a link and, at the end, what each link carried.
  static absl::StatusOr<std::unique_ptr<Switch>> Start(const std::string& log);
  ~Switch();
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;

  // A port that listens at `socket`. Whoever connects there is its machine, and replaces the one before.
  absl::Status AddPort(const std::string& name, const std::string& socket);

  // The frames from `from` to `to`, from now on; those on their way are dropped when the link is cut. NotFound for an
  // unknown port.
  absl::Status SetLink(const std::string& from, const std::string& to, const Link& link);

  // Whether a machine is at the port. Its connection counts from when the switch took it, soon after connect(2)
  // returned.
  bool Connected(const std::string& port) const;

  struct Count {
    uint64_t frames = 0;   // handed over
    uint64_t dropped = 0;  // cut, lost, or too many waiting
  };
  Count CountOf(const std::string& from, const std::string& to) const;

 private:
  class Fabric;
  explicit Switch(std::unique_ptr<Fabric> fabric);

  const std::unique_ptr<Fabric> fabric_;
};

}  // namespace flocker::lab
