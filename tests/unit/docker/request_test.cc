#include "engine/docker/request.h"

#include <gtest/gtest.h>

#include "engine/base/status.h"
#include "engine/model/size.h"

namespace flocker::docker {
namespace {

TEST(VolumeRequest, HasANameAndOptions) {
  const auto request = ParseVolumeRequest(R"({"Name":"db","Opts":{"size":"1G","tier":"a b"},"ID":"x"})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->name, "db");
  EXPECT_EQ(request->options, (std::map<std::string, std::string>{{"size", "1G"}, {"tier", "a b"}}));
  EXPECT_TRUE(ParseVolumeRequest(R"({"Name":"db","Opts":null})").ok());  // as dockerd sends it without options
}

TEST(VolumeRequest, WithoutOneIsRefused) {
  for (const char* body : {"", "{", "[]", "null", "{}", R"({"Name":""})", R"({"Name":7})", R"({"Name":"a","Opts":[]})",
                           R"({"Name":"a","Opts":{"size":5}})", "{\"Name\":\"\xff\"}"}) {
    const auto request = ParseVolumeRequest(body);
    ASSERT_FALSE(request.ok()) << body;
    EXPECT_EQ(CauseOf(request.status()), Cause::kInvalid) << body;
  }
}

TEST(VolumeOptions, SizeAndProfileAreFlockersAndTheRestAreLabels) {
  const Profiles profiles = {{"gold", 200 * kGiB}, {"bronze", 0}};
  const auto sized = ReadOptions({{"size", "10GiB"}, {"profile", "gold"}, {"team", "x"}}, profiles);
  ASSERT_TRUE(sized.ok()) << sized.status();
  EXPECT_EQ(sized->size, 10 * kGiB);
  EXPECT_EQ(sized->metadata,
            (std::map<std::string, std::string>{
                {"clusterhq:flocker:profile", "gold"}, {"maximum_size", "10737418240"}, {"team", "x"}}));
  EXPECT_EQ(ReadOptions({{"profile", "gold"}}, profiles)->size, 200 * kGiB);
  EXPECT_EQ(ReadOptions({{"profile", "bronze"}}, profiles)->size, 0U);
  EXPECT_EQ(ReadOptions({}, profiles)->size, 0U);
}

TEST(VolumeOptions, ThatMakeNoSenseAreRefused) {
  EXPECT_EQ(CauseOf(ReadOptions({{"size", "big"}}, DefaultProfiles()).status()), Cause::kInvalid);
  EXPECT_EQ(CauseOf(ReadOptions({{"size", "1M"}}, DefaultProfiles()).status()), Cause::kRange);
  EXPECT_EQ(CauseOf(ReadOptions({{"name", "other"}}, DefaultProfiles()).status()), Cause::kInvalid);
  const absl::Status unknown = ReadOptions({{"profile", "lead"}}, DefaultProfiles()).status();
  EXPECT_EQ(unknown.message(), "there is no profile 'lead'; there are bronze, gold, silver");
}

TEST(Profile, IsANameAndASize) {
  EXPECT_EQ(*ParseProfile("gold=200G"), (Profiles::value_type("gold", 200 * kGiB)));
  for (const char* text : {"", "gold", "=1G", "gold=", "gold=much"}) EXPECT_FALSE(ParseProfile(text).ok()) << text;
}

}  // namespace
}  // namespace flocker::docker
