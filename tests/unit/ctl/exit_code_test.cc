#include "engine/ctl/exit_code.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/base/status.h"

namespace flocker {
namespace {

TEST(ExitCode, EveryCauseHasItsOwn) {
  std::set<int> codes = {ExitCode(absl::OkStatus())};
  for (int i = 0; i <= static_cast<int>(Cause::kIo); ++i) {
    EXPECT_TRUE(codes.insert(ExitCode(Refuse(static_cast<Cause>(i), "x"))).second) << i;
  }
}

TEST(ExitCode, TheNumbersScriptsDependOn) {
  EXPECT_EQ(ExitCode(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCode(Refuse(Cause::kInvalid, "x")), 2);
  EXPECT_EQ(ExitCode(Refuse(Cause::kBusy, "x")), 5);
  EXPECT_EQ(ExitCode(absl::UnknownError("x")), 1);
  EXPECT_NE(ExitCodeTable().find("5 busy"), std::string::npos);
}

}  // namespace
}  // namespace flocker
