// An event as it crosses the wire.
#pragma once

#include "engine/model/event.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

rpc::EventView ToView(const Event& event);

}  // namespace flocker
