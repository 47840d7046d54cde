// What .flocker/status and .flocker/metrics say, from memory alone.
#pragma once

#include <string>

#include "fusefs/event_file.h"
#include "fusefs/view.h"

namespace flocker {

// Whom this daemon reaches right now. Without either, the rest is as last heard.
struct Reach {
  bool agent = false;
  bool control = false;
};

// INFO.md describes both. They cost a walk over the nodes and over this node's datasets.
std::string StatusText(const View& view, const Reach& reach, const EventFile::Extent& events);   // JSON
std::string MetricsText(const View& view, const Reach& reach, const EventFile::Extent& events);  // Prometheus' text

}  // namespace flocker
