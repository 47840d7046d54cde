#include "engine/base/core_dump.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdlib>

namespace flocker {
namespace {

// In a process of its own: what it forbids cannot be allowed again.
TEST(CoreDumpDeathTest, NeitherThisProcessNorItsChildrenLeaveOne) {
  EXPECT_EXIT(
      {
        rlimit limit{};
        const bool forbidden = ForbidCoreDumps().ok() && prctl(PR_GET_DUMPABLE) == 0 &&
                               getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
        std::_Exit(forbidden ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace flocker
