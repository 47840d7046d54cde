#include "fusefs/refusals.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

TEST(Refusals, TellsTheSameOneOnceASecond) {
  std::vector<rpc::Refusal> sent;
  Refusals refusals([&](const rpc::Refusal& refusal) { sent.push_back(refusal); });
  const DatasetId dataset = *DatasetId::Parse("11111111-0000-4000-8000-000000000000");
  for (int i = 0; i < 3; ++i) refusals.Here({dataset, "data"}, Refuse(Cause::kElsewhere, "it is on beta"));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].dataset_id(), dataset.str());
  EXPECT_EQ(sent[0].cause(), "elsewhere");
  EXPECT_EQ(sent[0].message(), "it is on beta");
  refusals.Here({dataset, "data"}, Refuse(Cause::kTimeout, "not yet"));
  refusals.Here({{}, "other"}, Refuse(Cause::kElsewhere, "it is on beta"));
  EXPECT_EQ(sent.size(), 3U);
}

TEST(Refusals, DoesNotTellEachOfVeryMany) {
  int sent = 0;
  Refusals refusals([&](const rpc::Refusal&) { ++sent; });
  for (int i = 0; i < 10'000; ++i) refusals.Here({{}, absl::StrCat("name", i)}, Refuse(Cause::kDenied, "not root"));
  EXPECT_GE(sent, 100);
  EXPECT_LE(sent, 200);
}

TEST(Refusals, DoesNotTellTheClusterWhatItSaidItself) {
  bool sent = false;
  Refusals refusals([&](const rpc::Refusal&) { sent = true; });
  refusals.Answered({{}, "data"}, Refuse(Cause::kBusy, "a shell sits in it"));
  EXPECT_FALSE(sent);
}

}  // namespace
}  // namespace flocker
