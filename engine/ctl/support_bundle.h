// What somebody who helps wants to see, in one file: the cluster, its events, this machine, the logs. No keys, no
// certificates, nothing of what is in the datasets, and every text redacted.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"

namespace flocker {

// Names in the bundle, and their texts. What could not be had is a text that says so.
using BundleFiles = std::map<std::string, std::string>;

// Adds what this machine tells: mounts, loop devices, processes, logs of the last day, and the *.yml in
// `configuration`.
void AddMachine(const std::string& configuration, BundleFiles& files);

// Writes a gzipped tar, readable by its owner alone, whose files lie in one directory. Refuses to replace a file.
absl::Status WriteBundle(const BundleFiles& files, const std::string& path);

}  // namespace flocker
