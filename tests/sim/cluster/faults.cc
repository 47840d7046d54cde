#include "faults.h"

#include <string>

namespace flocker::sim {

absl::Duration Faults::Lasting() {
  return sim_.random.Percent(50) ? sim_.random.Between(absl::Milliseconds(10), absl::Seconds(1))
                                 : sim_.random.Between(absl::Seconds(1), absl::Seconds(8));
}

void Faults::Strike() {
  SimNode& node = *nodes_[sim_.random.Below(nodes_.size())];
  switch (sim_.random.Below(15)) {
    case 0:
      return CrashControl();
    case 1:
    case 2:
    case 3:
      return CrashControlAtCommit();
    case 4:
      return CrashAgent(node);
    case 5:
      return CrashMachine(node);
    case 6:
      return Pause(node);
    case 7:
    case 8:
      return CutLink(node);
    case 9:
      sim_.Say("fault   the stream of ", node.machine.name(), " breaks");
      return control_.BreakStreams(node.machine.place());
    case 10:
      return KillLun(node);
    case 11:
      return RestartArray();
    case 12:
      sim_.Say("fault   the array fails calls");
      array_.set_failing(30);
      return Later(Lasting(), [this] { array_.set_failing(0); });
    case 13:
      sim_.Say("fault   commands get stuck in the backing store");
      array_.set_stuck(40);
      return Later(Lasting(), [this] { array_.set_stuck(0); });
    case 14:
      sim_.Say("fault   the network is slow");
      sim_.network.set_slow(true);
      return Later(Lasting(), [this] { sim_.network.set_slow(false); });
    default:
      return;
  }
}

void Faults::Heal() {
  sim_.Say("fault   all of them end");
  life_.End();
  sim_.network.HealAll();
  array_.set_failing(0);
  array_.set_stuck(0);
  array_.Start();
  control_.CrashAtCommit(-1, false, -1);
  control_.Start();
  users_.LetGoAll();
  for (const auto& node : nodes_) {
    node->machine.Thaw();
    if (node->agent == nullptr) node->agent = std::make_unique<SimAgent>(sim_, node->machine, control_);
  }
}

void Faults::CrashControl() {
  control_.Crash();
  StartControlSoon();
}

void Faults::CrashControlAtCommit() {
  const bool durable = sim_.random.Percent(70);
  const int effects = durable ? static_cast<int>(sim_.random.Below(5)) - 1 : -1;
  control_.CrashAtCommit(static_cast<int>(sim_.random.Below(4)), durable, effects);
  StartControlSoon();
}

void Faults::StartControlSoon() {
  Later(Lasting() / 2, [this] { control_.Start(); });
}

void Faults::CrashAgent(SimNode& node) {
  sim_.Say("fault   the agent of ", node.machine.name(), " crashes");
  node.agent.reset();
  StartAgentSoon(node);
}

void Faults::CrashMachine(SimNode& node) {
  sim_.Say("fault   machine ", node.machine.name(), " crashes");
  node.agent.reset();
  node.machine.Crash();
  StartAgentSoon(node);
}

void Faults::StartAgentSoon(SimNode& node) {
  Later(Lasting(), [this, &node] {
    if (node.agent == nullptr) node.agent = std::make_unique<SimAgent>(sim_, node.machine, control_);
  });
}

void Faults::Pause(SimNode& node) {
  sim_.Say("fault   machine ", node.machine.name(), " is paused");
  node.machine.Pause();
  Later(Lasting(), [&node] { node.machine.Thaw(); });
}

void Faults::CutLink(SimNode& node) {
  const Place place = node.machine.place();
  const Place other = sim_.random.Percent(50) ? kControlPlace : kArrayPlace;
  const uint64_t which = sim_.random.Below(3);
  sim_.Say("fault   ", node.machine.name(), " and ", other == kControlPlace ? "control" : "the array",
           " are cut apart, ",
           which == 0   ? "there"
           : which == 1 ? "back"
                        : "both ways");
  if (which != 1) sim_.network.Cut(place, other);
  if (which != 0) sim_.network.Cut(other, place);
  Later(Lasting(), [this, place, other] {
    sim_.network.Heal(place, other);
    sim_.network.Heal(other, place);
  });
}

void Faults::KillLun(SimNode& node) {
  std::vector<std::shared_ptr<LunProcess>> alive;
  for (const auto& [key, stack] : node.machine.stacks()) {
    if (stack.lun != nullptr && stack.lun->alive()) alive.push_back(stack.lun);
  }
  if (alive.empty()) return;
  const bool at_reply = sim_.random.Percent(50);
  sim_.Say("fault   a flocker-lun on ", node.machine.name(), " is killed", at_reply ? " as soon as it answers" : "");
  LunProcess& victim = *sim_.random.Pick(alive);
  if (at_reply) return victim.CrashAtReply();
  victim.Crash();
}

void Faults::RestartArray() {
  array_.Crash();
  Later(sim_.random.Between(absl::Milliseconds(5), absl::Seconds(2)), [this] { array_.Start(); });
}

}  // namespace flocker::sim
