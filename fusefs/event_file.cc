#include "fusefs/event_file.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace flocker {

std::string EventLine(const rpc::EventView& event) {
  nlohmann::ordered_json line;
  line["seq"] = event.seq();
  line["time_ms"] = event.time_ms();
  line["kind"] = event.kind();
  // What there is none of is left out.
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) line[key] = value;
  };
  text("dataset", event.dataset_id());
  text("name", event.name());
  text("node", event.node_id());
  if (event.epoch() != 0) line["epoch"] = event.epoch();
  text("cause", event.cause());
  text("message", event.message());
  for (const rpc::TimelineStep& step : event.timeline()) {
    line["timeline"].push_back({{"step", step.step()}, {"us", step.duration_us()}});
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool EventFile::Add(const rpc::Events& events) {
  MutexLock lock(mutex_);
  bool fresh = false;
  for (const rpc::EventView& event : events.events()) {
    if (!known_.emplace(event.seq(), event.time_ms()).second) continue;
    fresh = true;
    lines_.push_back({event.seq(), event.time_ms(), end_, EventLine(event) + "\n"});
    end_ += lines_.back().text.size();
  }
  // Half of them at once: whoever follows the file by its name sees another one each time.
  if (lines_.size() > kMost) {
    while (lines_.size() > EventLog::kKept) {
      known_.erase({lines_.front().seq, lines_.front().time_ms});
      lines_.pop_front();
    }
  }
  return fresh;
}

EventFile::Extent EventFile::extent() const {
  MutexLock lock(mutex_);
  if (lines_.empty()) return {.begin = end_, .end = end_};
  return {.begin = lines_.front().begin,
          .end = end_,
          .time_ms = lines_.back().time_ms,
          .first = lines_.front().seq,
          .last = lines_.back().seq};
}

std::optional<uint64_t> EventFile::Find(uint64_t seq) const {
  MutexLock lock(mutex_);
  if (lines_.empty()) return std::nullopt;
  if (seq == lines_.back().seq + 1) return end_;
  // From the back: of two with one number, from before and after a restored state, the younger counts.
  const auto found = std::find_if(lines_.rbegin(), lines_.rend(), [&](const Line& line) { return line.seq == seq; });
  if (found == lines_.rend()) return std::nullopt;
  return found->begin;
}

std::optional<std::string> EventFile::Read(uint64_t from, size_t size) const {
  MutexLock lock(mutex_);
  if (from >= end_) return std::string();
  auto line = std::upper_bound(lines_.begin(), lines_.end(), from,
                               [](uint64_t place, const Line& one) { return place < one.begin; });
  if (line == lines_.begin()) return std::nullopt;
  --line;
  std::string bytes = line->text.substr(from - line->begin, size);
  while (bytes.size() < size && ++line != lines_.end()) bytes.append(line->text, 0, size - bytes.size());
  return bytes;
}

}  // namespace flocker
