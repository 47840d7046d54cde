#include "engine/rpc/event_log.h"

#include <algorithm>
#include <iterator>

namespace flocker {

rpc::Events EventLog::Add(const rpc::Events& events) {
  rpc::Events fresh;
  for (const rpc::EventView& event : events.events()) {
    if (!names_.emplace(event.seq(), event.time_ms()).second) continue;
    events_.push_back(event);
    *fresh.add_events() = event;
    if (events_.size() <= kKept) continue;
    names_.erase({events_.front().seq(), events_.front().time_ms()});
    events_.pop_front();
  }
  return fresh;
}

rpc::Events EventLog::After(const rpc::EventMark& has) const {
  // From the back: whoever asks is rarely far behind.
  const auto known = std::find_if(events_.rbegin(), events_.rend(), [&](const rpc::EventView& event) {
    return event.seq() == has.seq() && event.time_ms() == has.time_ms();
  });
  rpc::Events next;
  for (auto at = known == events_.rend() ? events_.begin() : known.base();
       at != events_.end() && next.events_size() < static_cast<int>(kAtOnce); ++at) {
    *next.add_events() = *at;
  }
  return next;
}

rpc::EventMark EventLog::MarkOf(const rpc::Events& events, const rpc::EventMark& before) {
  if (events.events().empty()) return before;
  rpc::EventMark mark;
  mark.set_seq(events.events().rbegin()->seq());
  mark.set_time_ms(events.events().rbegin()->time_ms());
  return mark;
}

rpc::EventMark EventLog::last() const {
  rpc::EventMark mark;
  if (events_.empty()) return mark;
  mark.set_seq(events_.back().seq());
  mark.set_time_ms(events_.back().time_ms());
  return mark;
}

}  // namespace flocker
