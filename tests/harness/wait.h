// Waiting for what becomes true by itself.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "absl/time/time.h"

namespace flocker::testing {

// Asks `condition` again and again until it holds, every 10 ms; a failed assertion when it does not within `timeout`.
::testing::AssertionResult Eventually(absl::Duration timeout, const std::function<bool()>& condition);

}  // namespace flocker::testing
