// What goes wrong, and when: drawn from the seed. Every fault ends by itself, and Heal ends them all.
#pragma once

#include <memory>
#include <vector>

#include "control_host.h"
#include "sim.h"
#include "sim_array.h"
#include "users.h"

namespace flocker::sim {

class Faults {
 public:
  Faults(Sim& sim, SimArray& array, ControlHost& control, Users& users, std::vector<std::unique_ptr<SimNode>>& nodes)
      : sim_(sim), array_(array), control_(control), users_(users), nodes_(nodes) {}

  // One fault, begun now.
  void Strike();
  // Everything works from now on, and everybody runs.
  void Heal();

 private:
  void CrashControl();
  void CrashControlAtCommit();
  void StartControlSoon();
  void CrashAgent(SimNode& node);
  void CrashMachine(SimNode& node);
  void StartAgentSoon(SimNode& node);
  void Pause(SimNode& node);
  void CutLink(SimNode& node);
  void KillLun(SimNode& node);
  void RestartArray();
  absl::Duration Lasting();
  // Ends a fault after its time, unless all were ended before.
  void Later(absl::Duration delay, std::function<void()> end) { sim_.clock.After(life_, delay, std::move(end)); }

  Sim& sim_;
  SimArray& array_;
  ControlHost& control_;
  Users& users_;
  std::vector<std::unique_ptr<SimNode>>& nodes_;
  Life life_;
};

}  // namespace flocker::sim
