// Everything that can be known of a tree of files, as text to be compared with another's.
#pragma once

#include <string>
#include <vector>

namespace flocker::testing {

struct ManifestOptions {
  bool times = true;    // modification times, to the nanosecond
  bool blocks = false;  // how much space each file takes, and where its data and its holes are
};

// One line a file, in the order of their names: type, mode, owner, links, size, device, target, a checksum of the
// content, extended attributes (ACLs are some), and for a file with several names the first of them. An entry that
// cannot be read has a line that says so.
std::vector<std::string> Manifest(const std::string& directory, const ManifestOptions& options = {});

}  // namespace flocker::testing
