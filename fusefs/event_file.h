// What .flocker/events contains: the cluster's events as lines of text, the last ones kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "engine/base/mutex.h"
#include "engine/rpc/event_log.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// One JSON object, without a newline in it (INFO.md describes it).
std::string EventLine(const rpc::EventView& event);

// Lines are appended and old ones dropped; a place is a count of bytes, the first line's being `start`, and means the
// same for ever. Threads may share it; nothing blocks.
class EventFile {
 public:
  explicit EventFile(uint64_t start) : end_(start) {}

  // When this many are exceeded, all but the last EventLog::kKept are dropped.
  static constexpr size_t kMost = 2 * EventLog::kKept;

  // Appends those it does not have. True when there was one.
  bool Add(const rpc::Events& events) EXCLUDES(mutex_);

  struct Extent {
    uint64_t begin = 0;   // of the oldest line
    uint64_t end = 0;     // behind the newest
    int64_t time_ms = 0;  // of the newest; wall clock, Unix milliseconds
    uint64_t first = 0;   // the sequence numbers of both; 0: there are none
    uint64_t last = 0;
  };
  Extent extent() const EXCLUDES(mutex_);

  // Where the event of that number begins; the end for the one that comes next. Nothing for one that is no longer kept
  // or lies further ahead.
  std::optional<uint64_t> Find(uint64_t seq) const EXCLUDES(mutex_);

  // At most `size` bytes from that place, none at the end. Nothing when they are no longer kept.
  std::optional<std::string> Read(uint64_t from, size_t size) const EXCLUDES(mutex_);

 private:
  struct Line {
    uint64_t seq = 0;
    int64_t time_ms = 0;
    uint64_t begin = 0;
    std::string text;
  };
  mutable Mutex mutex_;
  std::deque<Line> lines_ GUARDED_BY(mutex_);
  std::set<std::pair<uint64_t, int64_t>> known_ GUARDED_BY(mutex_);  // of lines_: see rpc::EventMark
  uint64_t end_ GUARDED_BY(mutex_);
};

}  // namespace flocker
