// What happened to a dataset or a node: one line of the cluster's event log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/ids.h"

namespace flocker {

// How long one step of an operation took ("gate", "umount", "grant", …), so that it can be read where time goes.
struct StepTime {
  std::string step;
  int64_t duration_us = 0;
  bool operator==(const StepTime&) const = default;
};

struct Event {
  uint64_t seq = 0;     // from 1, grows by one; the event's identity
  int64_t time_ms = 0;  // wall clock, Unix milliseconds; for people only
  DatasetId dataset;    // empty when it concerns no dataset
  std::string name;     // of the dataset (or node) at that time
  NodeId node;          // empty when it concerns no node
  uint64_t epoch = 0;   // of the dataset at that time
  std::string kind;     // "created", "moved", "refused", …
  std::string message;  // for people: what, on what, what to do next
  std::vector<StepTime> timeline;
  std::string cause;  // base Cause name when it is a refusal; else empty
  bool operator==(const Event&) const = default;
};

}  // namespace flocker
