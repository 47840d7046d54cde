#include "fusefs/errno.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace flocker {
namespace {

TEST(Errno, EveryCauseHasOneOfItsOwn) {
  std::set<int> seen;
  for (int i = 0; i <= static_cast<int>(Cause::kIo); ++i) {
    const int error = CauseErrno(static_cast<Cause>(i));
    EXPECT_GT(error, 0);
    EXPECT_TRUE(seen.insert(error).second) << CauseName(static_cast<Cause>(i));
  }
}

TEST(Errno, SystemCallsKeepTheirOwn) {
  EXPECT_EQ(StatusErrno(ErrnoStatus(ENOTDIR, "open")), ENOTDIR);
  EXPECT_EQ(StatusErrno(Refuse(Cause::kElsewhere, "it is on beta")), EREMOTE);
  EXPECT_EQ(StatusErrno(absl::OkStatus()), 0);
}

}  // namespace
}  // namespace flocker
