#include "engine/model/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/status.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;

constexpr PoolCapacity kPool{100 * kGiB, 50 * kGiB};

TEST(Admission, PromisesUpToTheOvercommit) {
  EXPECT_TRUE(Admit(925 * kGiB, 75 * kGiB, kPool).ok());
  const absl::Status refused = Admit(925 * kGiB, 75 * kGiB + 1, kPool);
  EXPECT_EQ(CauseOf(refused), Cause::kNoSpace);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("925.00G are promised already"));
  EXPECT_TRUE(Admit(0, 100 * kGiB, kPool, 1).ok());
  EXPECT_FALSE(Admit(1, 100 * kGiB, kPool, 1).ok());
}

TEST(Admission, KeepsTheReserveForWhoIsThere) {
  EXPECT_TRUE(Admit(0, kGiB, {100 * kGiB, 5 * kGiB}).ok());
  const absl::Status refused = Admit(0, kGiB, {100 * kGiB, 5 * kGiB - 1});
  EXPECT_EQ(CauseOf(refused), Cause::kNoSpace);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("5.00G are free, under the reserve of 5 %"));
  EXPECT_TRUE(Admit(0, kGiB, {100 * kGiB, 0}, 10, 0).ok());
}

TEST(Admission, DoesNotOverflow) {
  EXPECT_EQ(CauseOf(Admit(UINT64_MAX, UINT64_MAX, kPool)), Cause::kNoSpace);
  EXPECT_EQ(CauseOf(Admit(0, 1, {0, 0})), Cause::kNoSpace);
}

}  // namespace
}  // namespace flocker
