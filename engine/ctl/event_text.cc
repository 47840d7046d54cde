#include "engine/ctl/event_text.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace flocker {

std::string FormatMicroseconds(int64_t microseconds) {
  if (microseconds < 1000) return absl::StrCat(microseconds, "us");
  const double milliseconds = static_cast<double>(microseconds) / 1e3;
  if (milliseconds < 1000) return absl::StrFormat("%.1fms", milliseconds);
  return absl::StrFormat("%.2fs", milliseconds / 1e3);
}

std::string FormatEvent(const rpc::EventView& event, const std::map<std::string, std::string>& node_names) {
  std::vector<std::string> parts = {
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(event.time_ms()), absl::UTCTimeZone()),
      absl::StrCat("#", event.seq())};
  if (!event.name().empty()) parts.push_back(event.name());
  parts.push_back(event.kind());
  if (!event.node_id().empty()) {
    const auto name = node_names.find(event.node_id());
    parts.push_back(name != node_names.end() ? name->second : event.node_id().substr(0, 8));
  }
  if (event.epoch() != 0) parts.push_back(absl::StrCat("epoch ", event.epoch()));
  std::string line = absl::StrJoin(parts, "  ");
  if (!event.cause().empty()) absl::StrAppend(&line, "  ", event.cause());
  if (!event.message().empty()) absl::StrAppend(&line, ": ", event.message());
  if (event.timeline().empty()) return line;
  std::vector<std::string> steps;
  int64_t total = 0;
  for (const rpc::TimelineStep& step : event.timeline()) {
    steps.push_back(absl::StrCat(step.step(), " ", FormatMicroseconds(step.duration_us())));
    total += step.duration_us();
  }
  absl::StrAppend(&line, "  [", absl::StrJoin(steps, ", "), "; ", FormatMicroseconds(total), " in all]");
  return line;
}

}  // namespace flocker
