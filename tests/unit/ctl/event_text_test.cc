#include "engine/ctl/event_text.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

TEST(FormatEvent, ReadsFromTimeToTimeLine) {
  rpc::EventView event;
  event.set_seq(42);
  event.set_time_ms(1795370591123);
  event.set_name("db");
  event.set_kind("released");
  event.set_node_id("bf5d33ee-0000-4000-8000-000000000001");
  event.set_epoch(3);
  for (const auto& [step, duration] : {std::pair("gate", 1200), std::pair("sync", 340)}) {
    event.add_timeline()->set_step(step);
    event.mutable_timeline()->rbegin()->set_duration_us(duration);
  }
  EXPECT_EQ(FormatEvent(event, {{event.node_id(), "alpha"}}),
            "2026-11-22T18:03:11.123Z  #42  db  released  alpha  epoch 3  [gate 1.2ms, sync 340us; 1.5ms in all]");
}

TEST(FormatEvent, LeavesOutWhatThereIsNot) {
  rpc::EventView event;
  event.set_seq(7);
  event.set_kind("refused");
  event.set_node_id("bf5d33ee-0000-4000-8000-000000000001");
  event.set_cause("busy");
  event.set_message("process 12 holds it");
  EXPECT_EQ(FormatEvent(event, {}), "1970-01-01T00:00:00.000Z  #7  refused  bf5d33ee  busy: process 12 holds it");
}

TEST(FormatMicroseconds, KeepsThreeFigures) {
  EXPECT_EQ(FormatMicroseconds(0), "0us");
  EXPECT_EQ(FormatMicroseconds(999), "999us");
  EXPECT_EQ(FormatMicroseconds(12'345), "12.3ms");
  EXPECT_EQ(FormatMicroseconds(2'500'000), "2.50s");
}

}  // namespace
}  // namespace flocker
