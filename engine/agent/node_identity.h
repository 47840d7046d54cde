// Which node an agent with a certificate is: the certificate says it (flocker-v1.md §1.1), the agent's root remembers
// it.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace flocker {

// Makes node.crt's UUID in the directory `certificates` the node's own where `root` has none yet. kDenied when the root
// is another node's. Call before the journal is opened, which would draw one. Errors as LoadIdentity's.
absl::Status TakeIdFromCertificate(const std::string& root, const std::string& certificates);

}  // namespace flocker
