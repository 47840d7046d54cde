// The bench's sections; each starts what it needs, measures with its peers in turn, and ends it again. They block for
// as long as that takes, and say on standard error what they are at.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bench/figures.h"

namespace flocker::bench {

struct Settings {
  int rounds = 5;
  absl::Duration run = absl::Seconds(3);  // of one measurement that takes as long as it is let
  uint64_t file_bytes = uint64_t{1} << 30;
  std::string flocker_lun;                        // the binary that is measured
  std::string against;                            // another one, measured beside it; empty: none
  int magnitudes = 3;                             // of sizes that grow tenfold: 10, 100, 1,000 nodes
  std::function<void(const Workload&)> measured;  // is called with each when it is complete
  std::string workload;                           // only workloads whose name contains this
};

// The LUN as a file: flocker-lun, qemu-storage-daemon, iscsi-perf on the bare LUN, and the array's kind of file itself.
absl::StatusOr<Section> RunBlock(const Settings& settings);

// ext4 on it: a dataset of a cluster by its own mount and through the tree, ext4 on a loop device over
// qemu-storage-daemon's file, and over a local file.
absl::StatusOr<Section> RunFilesystem(const Settings& settings);

// A dataset's life in the tree beside the same by hand, with the tools that come with the system.
absl::StatusOr<Section> RunOperations(const Settings& settings);

// Names in the tree of a cluster of 100,000 datasets, beside directories of those names in ext4.
absl::StatusOr<Section> RunTree(const Settings& settings);

// flocker-control as the cluster grows, by itself: an array and agents that take no time.
absl::StatusOr<Section> RunControlPlane(const Settings& settings);

}  // namespace flocker::bench
