// Whether the cluster has come to rest: every dataset where it should be, every part agreeing with the record, nothing
// left over anywhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control_host.h"
#include "sim.h"
#include "sim_array.h"
#include "users.h"

namespace flocker::sim {

// Empty when it has; else the first thing that is not as it should be.
std::string Unrest(const Sim& sim, const SimArray& array, const ControlHost& control,
                   const std::vector<std::unique_ptr<SimNode>>& nodes);

}  // namespace flocker::sim
