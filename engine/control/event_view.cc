#include "engine/control/event_view.h"

namespace flocker {

rpc::EventView ToView(const Event& event) {
  rpc::EventView view;
  view.set_seq(event.seq);
  view.set_time_ms(event.time_ms);
  view.set_dataset_id(event.dataset.str());
  view.set_name(event.name);
  view.set_node_id(event.node.str());
  view.set_epoch(event.epoch);
  view.set_kind(event.kind);
  view.set_message(event.message);
  view.set_cause(event.cause);
  for (const StepTime& step : event.timeline) {
    rpc::TimelineStep& added = *view.add_timeline();
    added.set_step(step.step);
    added.set_duration_us(step.duration_us);
  }
  return view;
}

}  // namespace flocker
