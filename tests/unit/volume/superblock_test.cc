#include "engine/volume/superblock.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace flocker {
namespace {

constexpr char kOurs[] = "0b5c7f3e-52ab-4f4e-9d3f-6a1f0c9e7d21";
constexpr char kTheirs[] = "99999999-52ab-4f4e-9d3f-6a1f0c9e7d21";

ProbeResult Empty(bool zero) {
  ProbeResult probe;
  probe.first_mib_zero = zero;
  return probe;
}
ProbeResult Foreign(const std::string& signature) {
  ProbeResult probe;
  probe.signature = signature;
  probe.uuid = kOurs;
  return probe;
}
ProbeResult Ext4(const std::string& uuid, uint16_t state, uint32_t incompat = 0) {
  ProbeResult probe = Foreign("ext4");
  probe.uuid = uuid;
  probe.ext4.emplace();
  probe.ext4->uuid = uuid;
  probe.ext4->state = state;
  probe.ext4->incompat = incompat;
  return probe;
}

TEST(DecideFormat, FollowsTheTable) {
  const struct {
    const char* what;
    ProbeResult probe;
    FormatAction fresh;      // formatted == false
    FormatAction formatted;  // formatted == true
  } rows[] = {
      {"empty, zero", Empty(true), FormatAction::kMkfs, FormatAction::kRefuse},
      {"empty, not zero", Empty(false), FormatAction::kRefuse, FormatAction::kRefuse},
      {"xfs with our UUID", Foreign("xfs"), FormatAction::kRefuse, FormatAction::kRefuse},
      {"ext3 with our UUID", Foreign("ext3"), FormatAction::kRefuse, FormatAction::kRefuse},
      {"partition table", Foreign("gpt"), FormatAction::kRefuse, FormatAction::kRefuse},
      {"several signatures", Foreign("ambiguous"), FormatAction::kRefuse, FormatAction::kRefuse},
      {"ext4 without a superblock where it belongs", Foreign("ext4"), FormatAction::kRefuse, FormatAction::kRefuse},
      {"another's ext4, clean", Ext4(kTheirs, 1), FormatAction::kRefuse, FormatAction::kRefuse},
      {"another's ext4, unclean", Ext4(kTheirs, 0), FormatAction::kRefuse, FormatAction::kRefuse},
      {"ours, clean", Ext4(kOurs, 1), FormatAction::kAdopt, FormatAction::kMount},
      {"ours, not unmounted", Ext4(kOurs, 0), FormatAction::kRecreate, FormatAction::kMount},
      {"ours, journal to replay", Ext4(kOurs, 1, 4), FormatAction::kRecreate, FormatAction::kMount},
      {"ours, errors", Ext4(kOurs, 3), FormatAction::kRecreate, FormatAction::kMount},
      {"ours, orphans", Ext4(kOurs, 5), FormatAction::kRecreate, FormatAction::kMount},
  };
  const DatasetId id = *DatasetId::Parse(kOurs);
  for (const auto& row : rows) {
    for (const bool formatted : {false, true}) {
      const FormatDecision decision = DecideFormat(formatted, row.probe, id);
      EXPECT_EQ(decision.action, formatted ? row.formatted : row.fresh) << row.what << ", formatted " << formatted;
      EXPECT_EQ(decision.why.empty(), decision.action != FormatAction::kRefuse) << row.what;
    }
  }
}

TEST(DecideFormat, WithoutAnIdNothingIsTouched) {
  EXPECT_EQ(DecideFormat(false, Empty(true), DatasetId()).action, FormatAction::kRefuse);
}

std::vector<uint8_t> Bytes() {
  std::vector<uint8_t> bytes(kExt4SuperblockSize);
  const auto put = [&](size_t offset, std::initializer_list<uint8_t> values) {
    for (const uint8_t value : values) bytes[offset++] = value;
  };
  put(0x34, {3, 0});
  put(0x36, {0xff, 0xff});
  put(0x38, {0x53, 0xef});
  put(0x3A, {1, 0});
  put(0x40, {0x00, 0xe1, 0xf5, 0x05});  // 100000000
  put(0x44, {0x80, 0x51, 0x01, 0x00});  // 86400
  put(0x60, {0x46, 0x02, 0, 0});
  put(0x68, {0x0b, 0x5c, 0x7f, 0x3e, 0x52, 0xab, 0x4f, 0x4e, 0x9d, 0x3f, 0x6a, 0x1f, 0x0c, 0x9e, 0x7d, 0x21});
  return bytes;
}

TEST(Ext4Superblock, IsReadFromItsDocumentedOffsets) {
  const auto superblock = ParseExt4Superblock(Bytes());
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->uuid, kOurs);
  EXPECT_EQ(superblock->mount_count, 3);
  EXPECT_EQ(superblock->max_mount_count, -1);
  EXPECT_EQ(superblock->state, 1);
  EXPECT_EQ(superblock->last_check, 100000000U);
  EXPECT_EQ(superblock->check_interval, 86400U);
  EXPECT_EQ(superblock->incompat, 0x246U);
  EXPECT_FALSE(superblock->Clean()) << "bit 4 of incompat: the journal needs replay";
}

TEST(Ext4Superblock, OtherBytesAreNone) {
  auto bytes = Bytes();
  bytes.pop_back();
  EXPECT_FALSE(ParseExt4Superblock(bytes).has_value());
  bytes = Bytes();
  bytes[0x38] = 0;
  EXPECT_FALSE(ParseExt4Superblock(bytes).has_value());
  EXPECT_FALSE(ParseExt4Superblock({}).has_value());
}

TEST(Ext4Superblock, AsksForACheckForEachReason) {
  Ext4Superblock clean;
  clean.state = 1;
  clean.mount_count = 5;
  clean.max_mount_count = -1;
  clean.last_check = 1000;
  EXPECT_EQ(clean.CheckReason(2000), "");

  const auto reason = [&](auto change) {
    Ext4Superblock superblock = clean;
    change(superblock);
    return superblock.CheckReason(2000);
  };
  EXPECT_NE(reason([](auto& s) { s.state = 0; }), "");
  EXPECT_NE(reason([](auto& s) { s.state = 3; }), "");
  EXPECT_NE(reason([](auto& s) { s.state = 5; }), "");
  EXPECT_NE(reason([](auto& s) { s.incompat = 4; }), "");
  EXPECT_NE(reason([](auto& s) { s.max_mount_count = 5; }), "");
  EXPECT_EQ(reason([](auto& s) { s.max_mount_count = 6; }), "");
  EXPECT_NE(reason([](auto& s) { s.check_interval = 1000; }), "");
  EXPECT_EQ(reason([](auto& s) { s.check_interval = 1001; }), "");
  EXPECT_EQ(reason([](auto& s) { s.last_check = 5000, s.check_interval = 1; }), "") << "a clock that went back";
}

}  // namespace
}  // namespace flocker
