// One event of the cluster's log as a line for people.
#pragma once

#include <map>
#include <string>

#include "engine/rpc/flocker.pb.h"

namespace flocker {

// "2026-11-22T18:03:11.123Z  #42  db  attached  beta  epoch 3: text  [gate 1.2ms, sync 0.4ms; 1.6ms in all]". Parts
// that the event lacks are left out. `node_names` maps node ids to names; an unknown id shows its first 8 characters.
std::string FormatEvent(const rpc::EventView& event, const std::map<std::string, std::string>& node_names);

// "1.2ms", "340us", "2.50s": three figures are enough to see where time goes.
std::string FormatMicroseconds(int64_t microseconds);

}  // namespace flocker
