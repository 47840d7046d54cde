#include "engine/rpc/refusal_log.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

TEST(RefusalLog, SaysTheSameOnceAMinuteAndNeverTooMuch) {
  RefusalLog log;
  const absl::Time start = absl::UnixEpoch();
  EXPECT_TRUE(log.IsNews("a", start));
  EXPECT_FALSE(log.IsNews("a", start + absl::Seconds(59)));
  EXPECT_TRUE(log.IsNews("b", start + absl::Seconds(59)));
  EXPECT_TRUE(log.IsNews("a", start + absl::Minutes(1)));
  const absl::Time later = start + absl::Minutes(5);
  size_t said = 0;
  for (int i = 0; i < 1000; ++i) said += log.IsNews(absl::StrCat("stranger ", i), later) ? 1 : 0;
  EXPECT_EQ(said, RefusalLog::kTexts);
  EXPECT_TRUE(log.IsNews("stranger 999", later + absl::Minutes(1)));
}

}  // namespace
}  // namespace flocker
