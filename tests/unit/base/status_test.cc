#include "engine/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace flocker {
namespace {

TEST(Status, CarriesItsCauseThroughAnnotation) {
  const absl::Status status = Annotate(Refuse(Cause::kNoControl, "control is away"), "mkdir");
  EXPECT_EQ(CauseOf(status), Cause::kNoControl);
  EXPECT_EQ(status.message(), "mkdir: control is away");
}

TEST(Status, CauseOfAPlainStatusIsTheNearest) {
  EXPECT_EQ(CauseOf(absl::UnavailableError("x")), Cause::kNodeDown);
  EXPECT_EQ(CauseOf(absl::UnknownError("x")), Cause::kIo);
}

TEST(Status, EveryCauseHasANameThatReadsBack) {
  for (int i = 0; i <= static_cast<int>(Cause::kIo); ++i) {
    const auto cause = static_cast<Cause>(i);
    EXPECT_EQ(CauseFromName(CauseName(cause)), cause);
  }
}

TEST(Status, RemembersTheErrno) {
  EXPECT_EQ(ErrnoOf(Annotate(ErrnoStatus(EBUSY, "umount"), "release")), EBUSY);
  EXPECT_EQ(ErrnoOf(absl::InternalError("x")), 0);
}

}  // namespace
}  // namespace flocker
