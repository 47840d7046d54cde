#include "engine/rpc/event_log.h"

#include <gtest/gtest.h>

#include <vector>

namespace flocker {
namespace {

rpc::Events Make(uint64_t first, uint64_t last, int64_t history = 0) {
  rpc::Events events;
  for (uint64_t seq = first; seq <= last; ++seq) {
    events.add_events()->set_seq(seq);
    events.mutable_events()->rbegin()->set_time_ms(static_cast<int64_t>(seq) * 10 + history);
  }
  return events;
}

std::vector<uint64_t> Numbers(const rpc::Events& events) {
  std::vector<uint64_t> numbers;
  for (const rpc::EventView& event : events.events()) numbers.push_back(event.seq());
  return numbers;
}

// What somebody is told who stands at `mark`, message after message.
std::vector<uint64_t> Everything(const EventLog& log, rpc::EventMark mark) {
  std::vector<uint64_t> all;
  while (true) {
    const rpc::Events next = log.After(mark);
    EXPECT_LE(next.events_size(), static_cast<int>(EventLog::kAtOnce));
    if (next.events().empty()) return all;
    for (const uint64_t seq : Numbers(next)) all.push_back(seq);
    mark = EventLog::MarkOf(next, mark);
  }
}

TEST(EventLog, TellsWhatSomebodyMissed) {
  EventLog log;
  EXPECT_TRUE(log.After({}).events().empty());
  log.Add(Make(1, 5));
  EXPECT_EQ(Numbers(log.After({})), (std::vector<uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(Numbers(log.After(EventLog::MarkOf(Make(1, 3), {}))), (std::vector<uint64_t>{4, 5}));
  EXPECT_TRUE(log.After(log.last()).events().empty());
}

TEST(EventLog, LeavesOutWhatItHasAndSaysWhatWasNew) {
  EventLog log;
  log.Add(Make(1, 5));
  EXPECT_EQ(Numbers(log.Add(Make(3, 7))), (std::vector<uint64_t>{6, 7}));
  EXPECT_EQ(Numbers(log.After({})), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6, 7}));
}

TEST(EventLog, KeepsTheLastAndTellsThemInSeveralMessages) {
  EventLog log;
  const uint64_t count = EventLog::kKept + 100;
  log.Add(Make(1, count));
  const std::vector<uint64_t> all = Everything(log, {});
  ASSERT_EQ(all.size(), EventLog::kKept);
  EXPECT_EQ(all.front(), 101U);
  EXPECT_EQ(all.back(), count);
  // One who missed more than is kept hears all of it; the numbers show the gap.
  EXPECT_EQ(Everything(log, EventLog::MarkOf(Make(50, 50), {})), all);
}

TEST(EventLog, ANumberGivenOutAgainAfterARestoreIsAnotherEvent) {
  EventLog log;  // of a control whose state is a backup from event 3 on
  log.Add(Make(1, 3));
  log.Add(Make(4, 6, /*history=*/1));
  // An agent that knew another 4 and 5 hears of those that it has not heard of.
  EXPECT_EQ(Everything(log, EventLog::MarkOf(Make(4, 5), {})), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
  EventLog agent;
  agent.Add(Make(1, 5));
  EXPECT_EQ(Numbers(agent.Add(log.After(agent.last()))), (std::vector<uint64_t>{4, 5, 6}));
}

}  // namespace
}  // namespace flocker
