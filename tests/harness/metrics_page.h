// What a monitor sees.
#pragma once

#include <string>

namespace flocker::testing {

// The lines of http://<address>/metrics (host:port) that begin with `name`; why not, when it does not answer.
std::string MetricLines(const std::string& address, const std::string& name);

}  // namespace flocker::testing
