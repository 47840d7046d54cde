#include "engine/lun/wire.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace flocker::lun {
namespace {

template <class M>
std::span<const std::byte> BytesOf(const M& message) {
  return std::as_bytes(std::span(&message, 1));
}

TEST(Wire, AMessageReadsBackAsItself) {
  auto login = NewMessage<Login>();
  login.epoch = 7;
  ASSERT_TRUE(login.target.Set("iqn.x"));
  const auto command = ParseCommand(BytesOf(login));
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(std::get<Login>(*command).epoch, 7u);
  EXPECT_EQ(std::get<Login>(*command).target.view(), "iqn.x");
  const auto report = ParseReport(BytesOf(NewMessage<Hello>()));
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(std::holds_alternative<Hello>(*report));
  EXPECT_TRUE(std::holds_alternative<Status>(*ParseReport(BytesOf(NewMessage<Status>()))));
}

TEST(Wire, AnythingElseIsRefused) {
  EXPECT_FALSE(ParseReport(BytesOf(NewMessage<Stop>())).ok()) << "a command is no report";
  auto stop = NewMessage<Stop>();
  EXPECT_FALSE(ParseCommand(BytesOf(stop).first(sizeof stop - 1)).ok());
  EXPECT_FALSE(ParseCommand(BytesOf(stop).first(3)).ok());
  stop.header.version = kWireVersion + 1;
  EXPECT_FALSE(ParseCommand(BytesOf(stop)).ok());
  stop = NewMessage<Stop>();
  stop.header.kind = Kind::kFence;  // another size
  EXPECT_FALSE(ParseCommand(BytesOf(stop)).ok());
}

TEST(Wire, TextWithoutAnEndIsRefused) {
  auto login = NewMessage<Login>();
  std::memset(login.chap_secret.bytes, 'x', sizeof login.chap_secret.bytes);
  EXPECT_FALSE(ParseCommand(BytesOf(login)).ok());
}

TEST(Wire, SurvivesAnyBytes) {
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes(random() % kMaxMessageSize);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    if (bytes.size() >= sizeof(Header)) {
      const Header header{kWireMagic, kWireVersion, static_cast<Kind>(random() % 45),
                          static_cast<uint32_t>(bytes.size()), 0};
      std::memcpy(bytes.data(), &header, sizeof header);
    }
    ParseCommand(bytes).IgnoreError();
    const auto command = ParseCommand(bytes);
    const auto report = ParseReport(bytes);
    const auto size_of = [](const auto& m) { return sizeof m; };
    EXPECT_TRUE(!command.ok() || std::visit(size_of, *command) == bytes.size());
    EXPECT_TRUE(!report.ok() || std::visit(size_of, *report) == bytes.size());
  }
}

TEST(Wire, TextEndsInItsField) {
  Text<8> text;
  EXPECT_TRUE(text.Set("1234567"));
  EXPECT_FALSE(text.Set("12345678"));
  EXPECT_FALSE(text.Set(std::string_view("a\0b", 3)));
  EXPECT_EQ(text.view(), "1234567");
  text.SetCut("abcdefghij");
  EXPECT_EQ(text.view(), "abcdefg");
}

}  // namespace
}  // namespace flocker::lun
