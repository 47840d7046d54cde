// What machines boot from (built by image.sh), and how fast this host can run it.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace flocker::lab {

struct Image {
  std::string dir;          // root.img, and <kernel>/vmlinuz and initrd; never written to
  std::string accelerator;  // QEMU's -accel

  // Whether it has the kernel: "release", and "backports" unless the mirror it was built from had none.
  bool HasKernel(const std::string& kernel) const;
};

// The built image; FailedPrecondition, naming the command, when there is none. The accelerator is kvm only if a machine
// truly boots with it: /dev/kvm may open and still not work. That is tried once in the host's boot.
absl::StatusOr<Image> FindImage();

}  // namespace flocker::lab
