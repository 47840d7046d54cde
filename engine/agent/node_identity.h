// Which node an agent is: its certificate says it (flocker-v1.md §1.1), and its root remembers it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/rpc/credentials.h"

namespace flocker {

// Where `root` is no node's yet and the way to `control` uses certificates, makes node.crt's UUID the node's own; fails
// as LoadIdentity when there is none to take. kDenied when the root is another node's than the certificate. What else
// is wrong with the certificate of a known node is left to the link to control: what it holds must be looked after all
// the same. Call before the journal is opened, which would draw an id.
absl::Status SettleNodeId(const std::string& root, const std::string& control, const Transport& transport);

}  // namespace flocker
