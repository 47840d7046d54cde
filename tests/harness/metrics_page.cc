#include "tests/harness/metrics_page.h"

#include "engine/base/subprocess.h"

namespace flocker::testing {

std::string MetricLines(const std::string& address, const std::string& name) {
  const auto got = RunCommand({"bash", "-c",
                               "exec 3<>/dev/tcp/${0/:/\\/}; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; "
                               "grep \"^$1\" <&3",
                               address, name},
                              absl::Seconds(10));
  return got.ok() ? got->output : std::string(got.status().message());
}

}  // namespace flocker::testing
