#include "fusefs/event_file.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

rpc::Events Make(uint64_t first, uint64_t last) {
  rpc::Events events;
  for (uint64_t seq = first; seq <= last; ++seq) {
    rpc::EventView& event = *events.add_events();
    event.set_seq(seq);
    event.set_time_ms(1000);
    event.set_kind("tested");
  }
  return events;
}

std::string Line(uint64_t seq) { return absl::StrCat("{\"seq\":", seq, ",\"time_ms\":1000,\"kind\":\"tested\"}\n"); }

TEST(EventLine, IsOneLineOfJsonWhateverTheText) {
  rpc::EventView event;
  event.set_seq(7);
  event.set_time_ms(12);
  event.set_kind("refused");
  event.set_dataset_id("11111111-0000-4000-8000-000000000000");
  event.set_name("a\nb\"\xff");
  event.set_node_id("22222222-0000-4000-8000-000000000000");
  event.set_epoch(3);
  event.set_cause("busy");
  event.set_message("held");
  event.add_timeline()->set_step("gate");
  event.mutable_timeline(0)->set_duration_us(5);
  EXPECT_EQ(EventLine(event),
            "{\"seq\":7,\"time_ms\":12,\"kind\":\"refused\",\"dataset\":\"11111111-0000-4000-8000-000000000000\","
            "\"name\":\"a\\nb\\\"\xef\xbf\xbd\",\"node\":\"22222222-0000-4000-8000-000000000000\",\"epoch\":3,"
            "\"cause\":\"busy\",\"message\":\"held\",\"timeline\":[{\"step\":\"gate\",\"us\":5}]}");
}

TEST(EventFile, IsReadInPiecesOfAnySize) {
  EventFile file(0);
  EXPECT_EQ(file.Read(0, 10), "");
  EXPECT_TRUE(file.Add(Make(1, 20)));
  std::string whole;
  for (uint64_t seq = 1; seq <= 20; ++seq) whole += Line(seq);
  for (const size_t size : {size_t{1}, size_t{7}, whole.size(), whole.size() + 1}) {
    std::string read;
    while (true) {
      const auto piece = file.Read(read.size(), size);
      ASSERT_TRUE(piece);
      if (piece->empty()) break;
      EXPECT_LE(piece->size(), size);
      read += *piece;
    }
    EXPECT_EQ(read, whole) << size;
  }
  EXPECT_EQ(file.Read(whole.size() + 1000, 10), "");
}

TEST(EventFile, GrowsByWhatItDoesNotHave) {
  EventFile file(0);
  file.Add(Make(1, 3));
  const uint64_t end = file.extent().end;
  EXPECT_FALSE(file.Add(Make(1, 3)));
  EXPECT_TRUE(file.Add(Make(2, 4)));
  EXPECT_EQ(file.Read(end, 1000), Line(4));
}

TEST(EventFile, DoesNotTakeAPlaceOfAnEarlierDaemonsForItsOwn) {
  EventFile file(1000);
  EXPECT_EQ(file.Read(10, 10), std::nullopt);
  file.Add(Make(1, 2));
  EXPECT_EQ(file.Read(10, 10), std::nullopt);
  EXPECT_EQ(file.Read(1000, 1000), Line(1) + Line(2));
}

TEST(EventFile, FindsAnEventByItsNumber) {
  EventFile file(0);
  EXPECT_EQ(file.Find(1), std::nullopt);
  file.Add(Make(5, 9));
  EXPECT_EQ(file.Find(4), std::nullopt);
  EXPECT_EQ(file.Read(*file.Find(8), 1000), Line(8) + Line(9));
  EXPECT_EQ(file.Find(10), file.extent().end) << "the next one";
  EXPECT_EQ(file.Find(11), std::nullopt);
}

TEST(EventFile, DropsTheOldOnesInOneGoAndPlacesStay) {
  EventFile file(0);
  file.Add(Make(1, EventFile::kMost));
  EXPECT_EQ(file.extent().begin, 0U);
  const uint64_t place = *file.Find(EventFile::kMost);
  file.Add(Make(EventFile::kMost + 1, EventFile::kMost + 1));
  EXPECT_EQ(file.extent().first, EventFile::kMost + 2 - EventLog::kKept);
  EXPECT_GT(file.extent().begin, 0U);
  EXPECT_EQ(file.Read(place, 1000), Line(EventFile::kMost) + Line(EventFile::kMost + 1));
  EXPECT_EQ(file.Read(0, 10), std::nullopt);
  EXPECT_EQ(file.Read(file.extent().begin - 1, 10), std::nullopt);
}

}  // namespace
}  // namespace flocker
