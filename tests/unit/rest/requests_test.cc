// The schema of v1's requests (flocker-v1.md §1.5), rule by rule.
#include "engine/rest/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr char kNode[] = "bf5d33ee-0d4f-4c5d-9e0c-3f0d0f2f0a11";

template <class Body>
std::vector<std::string> Errors(const Checked<Body>& body) {
  const auto* bad = std::get_if<BadBody>(&body);
  if (bad == nullptr) return {};
  EXPECT_TRUE(bad->decoded);
  return bad->errors;
}

std::vector<std::string> CreateErrors(const std::string& rest) {
  return Errors(ReadCreate(absl::StrCat(R"({"primary": ")", kNode, "\"", rest, "}")));
}

bool Undecodable(const std::string& text) {
  const auto body = ReadCreate(text);
  const auto* bad = std::get_if<BadBody>(&body);
  return bad != nullptr && !bad->decoded;
}

TEST(CreateRequest, TakesTheLeastAndTheMost) {
  const auto least = ReadCreate(absl::StrCat(R"({"primary": ")", kNode, "\"}"));
  ASSERT_TRUE(std::holds_alternative<CreateBody>(least));
  EXPECT_EQ(std::get<CreateBody>(least).primary.str(), kNode);
  EXPECT_FALSE(std::get<CreateBody>(least).dataset_id);
  EXPECT_EQ(std::get<CreateBody>(least).maximum_size, 0U);

  const auto most = ReadCreate(absl::StrCat(R"({"primary": ")", kNode,
                                            R"(", "dataset_id": "ABCDEF01-2345-4678-B9AB-CDEF01234567",)"
                                            R"( "maximum_size": 67108864, "metadata": {"name": "x", "ü": ""}})"));
  ASSERT_TRUE(std::holds_alternative<CreateBody>(most)) << ::testing::PrintToString(Errors(most));
  const auto& body = std::get<CreateBody>(most);
  EXPECT_EQ(body.dataset_id->str(), "abcdef01-2345-4678-b9ab-cdef01234567") << "lower-cased, as v1 did";
  EXPECT_EQ(body.maximum_size, 67108864U);
  EXPECT_THAT(body.metadata, UnorderedElementsAre(std::pair("name", "x"), std::pair("ü", "")));
}

TEST(CreateRequest, WhatIsNoJsonIsNotDecoded) {
  EXPECT_TRUE(Undecodable(""));
  EXPECT_TRUE(Undecodable("{"));
  EXPECT_TRUE(Undecodable("{} {}"));
  EXPECT_TRUE(Undecodable("{\"primary\": NaN}"));
  EXPECT_TRUE(Undecodable("\"\xff\""));
  EXPECT_TRUE(Undecodable(std::string(1 << 20, '['))) << "a tower must not fall on us";
  EXPECT_TRUE(Undecodable(std::string(65, '[') + std::string(65, ']')));
  EXPECT_THAT(Errors(ReadCreate(std::string(64, '[') + std::string(64, ']'))), SizeIs(1)) << "deep enough for anybody";
}

TEST(CreateRequest, EveryErrorIsNamed) {
  EXPECT_THAT(Errors(ReadCreate("[]")), ElementsAre("[] is not of type 'object'"));
  EXPECT_THAT(Errors(ReadCreate("{}")), ElementsAre("'primary' is a required property"));
  EXPECT_THAT(Errors(ReadCreate(R"({"primary": 5, "size": 1, "maximum_size": "x"})")),
              UnorderedElementsAre("5 is not of type 'string'", "'x' is not of type 'integer', 'null'",
                                   "Additional properties are not allowed ('size' was unexpected)"));
  EXPECT_THAT(CreateErrors(R"(, "deleted": true)"), SizeIs(1)) << "v1 failed with 500 here";
}

TEST(CreateRequest, UuidsAreOfVersion4) {
  EXPECT_THAT(Errors(ReadCreate(R"({"primary": "abc"})")),
              UnorderedElementsAre("'abc' is too short", HasSubstr("'abc' does not match '^[A-Fa-f0-9]{8}-")));
  EXPECT_THAT(CreateErrors(R"(, "dataset_id": "abcdef01-2345-1678-b9ab-cdef01234567")"), SizeIs(1)) << "version 1";
  EXPECT_THAT(CreateErrors(R"(, "dataset_id": "abcdef01-2345-4678-c9ab-cdef01234567")"), SizeIs(1)) << "variant";
  EXPECT_THAT(CreateErrors(R"(, "dataset_id": "abcdef01-2345-4678-89ab-cdef01234567")"), IsEmpty());
  EXPECT_THAT(CreateErrors(R"(, "dataset_id": null)"), SizeIs(1));
}

TEST(CreateRequest, SizesAreMultiplesOf1024From64MiB) {
  const auto errors = [](const std::string& size) { return CreateErrors(", \"maximum_size\": " + size); };
  EXPECT_THAT(errors("67108864"), IsEmpty());
  EXPECT_THAT(errors("67109888"), IsEmpty());
  EXPECT_THAT(errors("null"), IsEmpty());
  EXPECT_THAT(errors("67107840"), ElementsAre("67107840 is less than the minimum of 67108864"));
  EXPECT_THAT(errors("67108865"), ElementsAre("67108865 is not a multiple of 1024"));
  EXPECT_THAT(errors("-1"), SizeIs(2));
  EXPECT_THAT(errors("0"), SizeIs(1));
  EXPECT_THAT(errors("67108864.0"), ElementsAre("67108864.0 is not of type 'integer', 'null'"));
  EXPECT_THAT(errors("true"), ElementsAre("True is not of type 'integer', 'null'"));
  EXPECT_THAT(errors("18446744073709550592"), ElementsAre(HasSubstr("is greater than the maximum")));
  EXPECT_THAT(errors("1e30"), SizeIs(1));
}

TEST(CreateRequest, MetadataIsSixteenPairsOfShortTexts) {
  const auto errors = [](const std::string& metadata) { return CreateErrors(", \"metadata\": " + metadata); };
  const auto pairs = [](int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i) absl::StrAppend(&text, i == 0 ? "" : ",", "\"k", i, "\":\"v\"");
    return text + "}";
  };
  EXPECT_THAT(errors(pairs(16)), IsEmpty());
  EXPECT_THAT(errors(pairs(17)), ElementsAre(HasSubstr("has too many properties")));
  EXPECT_THAT(errors("[]"), ElementsAre("[] is not of type 'object'"));
  EXPECT_THAT(errors(R"({"a": 1})"), ElementsAre("1 is not of type 'string'"));
  EXPECT_THAT(errors(R"({"": "x"})"), ElementsAre("Additional properties are not allowed ('' was unexpected)"));
  std::string long_text;
  for (int i = 0; i < 256; ++i) long_text += "ü";
  EXPECT_THAT(errors(absl::StrCat("{\"", long_text, "\": \"", long_text, "\"}")), IsEmpty()) << "characters, not bytes";
  EXPECT_THAT(errors(absl::StrCat("{\"a\": \"", long_text, "x\"}")), ElementsAre(HasSubstr("is too long")));
  EXPECT_THAT(errors(absl::StrCat("{\"", long_text, "x\": \"a\"}")), ElementsAre(HasSubstr("unexpected")));
}

TEST(MoveRequest, HasAPrimaryOrNothing) {
  EXPECT_FALSE(std::get<MoveBody>(ReadMove("{}")).primary);
  EXPECT_EQ(std::get<MoveBody>(ReadMove(absl::StrCat(R"({"primary": ")", kNode, "\"}"))).primary->str(), kNode);
  EXPECT_THAT(Errors(ReadMove(R"({"metadata": {}})")), ElementsAre(HasSubstr("'metadata' was unexpected")));
  EXPECT_THAT(Errors(ReadMove(R"({"primary": null})")), ElementsAre("None is not of type 'string'"));
}

TEST(LeaseRequest, NeedsAllOfItsThree) {
  const auto read = [](const std::string& expires) {
    return ReadLease(absl::StrCat(R"({"dataset_id": "11111111-1111-1111-1111-111111111111", "node_uuid": ")", kNode,
                                  "\"", expires, "}"));
  };
  EXPECT_EQ(std::get<LeaseBody>(read(", \"expires\": 1.5")).expires, 1.5);
  EXPECT_EQ(std::get<LeaseBody>(read(", \"expires\": -3")).expires, -3);
  EXPECT_EQ(std::get<LeaseBody>(read(", \"expires\": null")).expires, std::nullopt);
  EXPECT_THAT(Errors(read("")), ElementsAre("'expires' is a required property"));
  EXPECT_THAT(Errors(read(", \"expires\": \"1\"")), ElementsAre("'1' is not of type 'number', 'null'"));
  EXPECT_THAT(Errors(read(", \"expires\": 1, \"x\": 1")), SizeIs(1));
  EXPECT_THAT(Errors(ReadLease("{}")), SizeIs(3));
  EXPECT_THAT(Errors(ReadLease(absl::StrCat(R"({"dataset_id": "short", "expires": 1, "node_uuid": ")", kNode, "\"}"))),
              ElementsAre("'short' is too short"));
}

}  // namespace
}  // namespace flocker
