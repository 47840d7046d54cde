#include "tests/harness/metrics_page.h"

#include "engine/base/subprocess.h"

namespace flocker::testing {

namespace {

std::string Page(const std::string& address, const std::string& page, const std::string& filter) {
  const auto got = RunCommand({"bash", "-c",
                               "exec 3<>/dev/tcp/${0/:/\\/}; printf 'GET %s HTTP/1.0\\r\\n\\r\\n' \"$1\" >&3; "
                               "grep \"$2\" <&3",
                               address, page, filter},
                              absl::Seconds(10));
  return got.ok() ? got->output : std::string(got.status().message());
}

}  // namespace

std::string MetricLines(const std::string& address, const std::string& name) {
  return Page(address, "/metrics", "^" + name);
}

std::string Readiness(const std::string& address) { return Page(address, "/readyz", "^HTTP\\|ready"); }

}  // namespace flocker::testing
