// The certificates of this machine: whether they are valid now, whose they are, and whether their keys are secret.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/ctl/check.h"

namespace flocker {

// Every *.crt and *.key in the directory (flocker-v1.md §1.1); cluster.crt is whom the others must be signed by.
std::vector<Check> CheckCertificates(const std::string& directory, absl::Time now);

}  // namespace flocker
