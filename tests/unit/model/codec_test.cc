#include "engine/model/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>
#include <nlohmann/json.hpp>

#include "engine/model/codec_table.h"

namespace flocker {

// Becomes any type an initializer may have. Never defined, so it needs a name other files could see
// (-Wundefined-internal).
struct Anything {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor): the point of it
};

namespace {

using ::testing::HasSubstr;

DatasetId AnId() { return *DatasetId::Parse("6f1d1c1e-59a8-4d4a-8d5c-0a1b2c3d4e5f"); }
NodeId ANode() { return *NodeId::Parse("00000000-0000-4000-8000-00000000000a"); }

Grant AGrant(uint64_t epoch) { return {epoch, ANode(), "iqn.x:alpha-6f1d1c1e-e7", "6f1d1c1e-e7", "s3cretS3cret"}; }

// Every field differs from its default.
Dataset Filled() {
  Dataset dataset;
  dataset.id = AnId();
  dataset.name = "pgdata";
  dataset.metadata = {{"name", "pgdata"}, {"owner", "Zoë \"q\" \n"}, {"raw\xff", std::string("\x00\xfe", 2)}};
  dataset.size = 15ULL << 30;
  dataset.grows_from = 1ULL << 30;
  dataset.created_ms = 1'764'000'000'123;
  dataset.array = "local";
  dataset.pool = "/srv/pool";
  dataset.formatted = true;
  dataset.block_size = 4096;
  dataset.protect = true;
  dataset.root_uid = 1000;
  dataset.root_gid = 1001;
  dataset.root_mode = 0777;
  dataset.desired = {ANode(), "pgdata2", true, true, true, true};
  dataset.placement.node = ANode();
  dataset.placement.phase = Phase::kRenewing;
  dataset.placement.epoch = UINT64_MAX;
  dataset.placement.mount_epoch = 6;
  dataset.placement.granted = true;
  dataset.placement.grant = AGrant(7);
  dataset.placement.previous = AGrant(6);
  dataset.placement.address = {"127.0.0.1:3260", "iqn.y:z", 1};
  dataset.operation = {"op-1", "exchange", true, "busy", "in use", AnId()};
  dataset.earlier = {{"op-0", "create", true, "", "", {}}};
  dataset.error = "array away";
  dataset.trashed_ms = -5;
  dataset.trashed_clock_ms = 86'400'000;
  return dataset;
}

// How many members an aggregate has: the most initializers it takes.
template <class T, class... Initializers>
consteval size_t Members() {
  if constexpr (requires { T{Initializers{}..., Anything{}}; }) {
    return Members<T, Initializers..., Anything>();
  } else {
    return sizeof...(Initializers);
  }
}

struct Counter {
  size_t fields = 0;
  void operator()(const char*, const auto&) { ++fields; }
  void Since(int, const char*, const auto&) { ++fields; }
  void Secret(const char*, const auto&) { ++fields; }
};
template <class Record>
void ExpectEveryMemberInTheTable() {
  Counter counter;
  const Record record;
  codec::Fields(counter, record);
  EXPECT_EQ(counter.fields, Members<Record>());
}

TEST(Codec, TheTableHasEveryMemberOfEveryRecord) {
  ExpectEveryMemberInTheTable<Dataset>();
  ExpectEveryMemberInTheTable<Placement>();
  ExpectEveryMemberInTheTable<Grant>();
  ExpectEveryMemberInTheTable<LunAddress>();
  ExpectEveryMemberInTheTable<Desired>();
  ExpectEveryMemberInTheTable<Operation>();
  ExpectEveryMemberInTheTable<Node>();
  ExpectEveryMemberInTheTable<Event>();
  ExpectEveryMemberInTheTable<StepTime>();
}

TEST(Codec, AFilledDatasetReadsBackEqual) {
  const auto read = DatasetFromJson(ToJson(Filled()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Filled());
}

TEST(Codec, ADefaultDatasetReadsBackEqual) {
  const auto read = DatasetFromJson(ToJson(Dataset()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Dataset());
}

TEST(Codec, NodeAndEventReadBackEqual) {
  const Node node{ANode(), "alpha", "10.0.0.1", "boot"};
  EXPECT_EQ(*NodeFromJson(ToJson(node)), node);
  const Event event{3, 4, AnId(), "pgdata", ANode(), 5, "moved", "from a to b", {{"gate", 17}, {"sync", 2}}, "busy"};
  EXPECT_EQ(*EventFromJson(ToJson(event)), event);
  EXPECT_EQ(*EventFromJson(ToJson(Event())), Event());
}

TEST(Codec, TheRecordBesideTheLunHasNoSecret) {
  const std::string text = ToJson(Filled(), Secrets::kOmit);
  EXPECT_THAT(text, Not(HasSubstr("s3cret")));
  Dataset expected = Filled();
  expected.placement.grant.secret.clear();
  expected.placement.previous->secret.clear();
  EXPECT_EQ(*DatasetFromJson(text), expected);
}

// What reading `text` complains about.
std::string Complaint(const nlohmann::json& document) {
  const auto read = DatasetFromJson(document.dump());
  if (read.ok()) return "nothing";
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(read.status().message());
}

TEST(Codec, NamesTheKeyThatIsWrong) {
  const nlohmann::json good = nlohmann::json::parse(ToJson(Filled()));
  const auto with = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json document = good;
    document[nlohmann::json::json_pointer(pointer)] = value;
    return Complaint(document);
  };
  EXPECT_THAT(with("/size", "15"), HasSubstr("'size' is not a number in range"));
  EXPECT_THAT(with("/size", -1), HasSubstr("'size'"));
  EXPECT_THAT(with("/size", 1.5), HasSubstr("'size'"));
  EXPECT_THAT(with("/block_size", 1ULL << 32), HasSubstr("'block_size'"));
  EXPECT_THAT(with("/trashed_ms", 1ULL << 63), HasSubstr("'trashed_ms'"));
  EXPECT_THAT(with("/id", "nope"), HasSubstr("'id' is not a UUID"));
  EXPECT_THAT(with("/name", 7), HasSubstr("'name' is not a string"));
  EXPECT_THAT(with("/name", {{"base64", "*"}}), HasSubstr("'name' is not a string"));
  EXPECT_THAT(with("/protect", nullptr), HasSubstr("'protect' is not true or false"));
  EXPECT_THAT(with("/metadata", {{"a", "b"}}), HasSubstr("'metadata' is not a list of pairs"));
  EXPECT_THAT(with("/metadata", {{"a", "b"}, {"a", "c"}}), HasSubstr("'metadata'"));
  EXPECT_THAT(with("/placement", 1), HasSubstr("'placement' is not an object"));
  EXPECT_THAT(with("/placement/phase", "flying"), HasSubstr("'placement.phase' is not a phase"));
  EXPECT_THAT(with("/placement/previous/epoch", true), HasSubstr("'placement.previous.epoch'"));
  EXPECT_THAT(with("/surprise", 1), HasSubstr("a key that this program does not know"));
  EXPECT_THAT(with("/placement/surprise", 1), HasSubstr("'placement' has a key that this program does not know"));
  EXPECT_THAT(with("/version", 1), HasSubstr("'version' is 1"));
  EXPECT_EQ(with("/placement/previous", nullptr), "nothing");
}

TEST(Codec, ARecordOfAnEarlierVersionHasDefaultsForWhatItLacks) {
  nlohmann::json document = nlohmann::json::parse(ToJson(Filled()));
  Dataset expected = Filled();
  const auto expect_without = [&](int version, const std::vector<std::string>& lacks) {
    document["version"] = version;
    EXPECT_THAT(Complaint(document), HasSubstr("a key that this program does not know"));
    for (const std::string& key : lacks) document = document.patch({{{"op", "remove"}, {"path", key}}});
    const auto read = DatasetFromJson(document.dump());
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, expected);
  };
  expected.grows_from = 0;
  expected.desired.leave = false;
  expected.operation.with = expected.earlier[0].with = DatasetId();
  expect_without(3, {"/grows_from", "/desired/leave", "/operation/with", "/earlier/0/with"});
  expected.trashed_clock_ms = 0;
  expect_without(2, {"/trashed_clock_ms"});
}

TEST(Codec, EveryKeyIsNeeded) {
  const nlohmann::json good = nlohmann::json::parse(ToJson(Filled()));
  for (const auto& [key, value] : good.items()) {
    nlohmann::json document = good;
    document.erase(key);
    EXPECT_THAT(Complaint(document), HasSubstr("'" + key + "' is missing"));
  }
  for (const auto& [key, value] : good["placement"].items()) {
    nlohmann::json document = good;
    document["placement"].erase(key);
    EXPECT_THAT(Complaint(document), HasSubstr("'placement." + key + "' is missing"));
  }
}

TEST(Codec, NoTextMakesItThrowOrCrash) {
  const std::string good = ToJson(Filled());
  for (size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(DatasetFromJson(good.substr(0, length)).ok());
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char bits : {'\x01', '\x20', '\x80'}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ bits);
      std::ignore = DatasetFromJson(bad);
    }
  }
  for (const char* text : {"", "[]", "null", "1", "{", "{}", "\xff", "[[[[", "{\"version\":1}"}) {
    EXPECT_FALSE(DatasetFromJson(text).ok()) << text;
  }
  EXPECT_FALSE(DatasetFromJson(std::string(1'000'000, '[')).ok());
}

}  // namespace
}  // namespace flocker
