#include "tests/harness/wait.h"

#include "absl/time/clock.h"

namespace flocker::testing {

::testing::AssertionResult Eventually(absl::Duration timeout, const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) {
      return ::testing::AssertionFailure() << "did not become true within " << absl::FormatDuration(timeout);
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return ::testing::AssertionSuccess();
}

}  // namespace flocker::testing
