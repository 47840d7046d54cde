// What a monitor sees.
#pragma once

#include <string>

namespace flocker::testing {

// The lines of http://<address>/metrics (host:port) that begin with `name`; why not, when it does not answer.
std::string MetricLines(const std::string& address, const std::string& name);

// The answer of http://<address>/readyz: its status and its body; empty when there is none.
std::string Readiness(const std::string& address);

}  // namespace flocker::testing
