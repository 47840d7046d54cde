#include "history.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control_host.h"
#include "convergence.h"
#include "faults.h"
#include "sim.h"
#include "sim_array.h"
#include "users.h"

namespace flocker::sim {
namespace {

constexpr absl::Duration kTrouble = absl::Seconds(12);   // of operations and faults
constexpr absl::Duration kPatience = absl::Seconds(60);  // from the end of the faults to rest
constexpr absl::Duration kLook = absl::Milliseconds(100);

class History {
 public:
  History(uint64_t seed, Plant plant, bool trace)
      : sim_(seed, plant, trace), array_(sim_), control_(sim_, array_), promises_(seed % 2 == 0) {
    // Mostly three nodes; from four on the valve against mass failures is at work.
    const size_t count = sim_.random.Percent(80) ? 3 : 4;
    for (size_t i = 0; i < count; ++i) {
      nodes_.push_back(std::make_unique<SimNode>(sim_, array_, kFirstNode + i,
                                                 NodeId::FromRandomHex(sim_.random.Hex(16)), absl::StrCat("n", i + 1)));
    }
    sim_.truth.set_holds([this](const NodeId& node, const DatasetId& id, uint64_t mount_epoch) {
      for (const auto& each : nodes_) {
        if (each->machine.id() == node) return each->machine.Holds(id, mount_epoch);
      }
      return false;
    });
  }

  Verdict Run() {
    control_.Start();
    for (const auto& node : nodes_) node->agent = std::make_unique<SimAgent>(sim_, node->machine, control_);
    const uint64_t operations = 4 + sim_.random.Below(16);
    const uint64_t strikes = sim_.random.Below(10);
    const auto at = [&] { return sim_.random.Between(absl::Milliseconds(20), kTrouble); };
    for (uint64_t i = 0; i < operations; ++i) sim_.clock.After(at(), [this] { users_.Ask(); });
    for (uint64_t i = 0; i < strikes; ++i) sim_.clock.After(at(), [this] { faults_.Strike(); });
    const uint64_t promises = promises_ ? sim_.random.Below(6) : 0;
    for (uint64_t i = 0; i < promises; ++i) sim_.clock.After(at(), [this] { users_.AskForPromise(); });
    for (uint64_t i = 0; i < 6; ++i) sim_.clock.After(at(), [this] { users_.Hold(); });
    sim_.clock.After(kTrouble, [this] { faults_.Heal(); });
    sim_.clock.After(kTrouble + kLook, [this] { Look(); });
    while (!over_ && !sim_.truth.violation() && sim_.clock.Step())
      Mix(static_cast<uint64_t>(absl::ToInt64Nanoseconds(sim_.clock.now())));
    Mix(sim_.random.Next());
    return {.violation = sim_.truth.violation(),
            .steps = sim_.clock.steps(),
            .fingerprint = fingerprint_,
            .operations = sim_.truth.acknowledged_operations(),
            .writes = sim_.truth.acknowledged_writes()};
  }

 private:
  // Until everything is at rest, or patience ends.
  void Look() {
    const std::string unrest = Unrest(sim_, array_, control_, nodes_);
    const absl::Duration waited = sim_.clock.now() - sim_.start - kTrouble;
    if (!unrest.empty()) {
      if (waited < kPatience) return sim_.clock.After(kLook, [this] { Look(); });
      return sim_.truth.Violated(absl::StrCat("no rest ", absl::FormatDuration(waited), " after the faults: ", unrest));
    }
    sim_.Say("rest    after ", absl::FormatDuration(waited));
    for (const auto& [id, dataset] : sim_.durable.datasets()) sim_.truth.Reads(id, array_.disk(id)->blocks);
    over_ = true;
  }
  // FNV-1a over 64-bit words.
  void Mix(uint64_t word) { fingerprint_ = (fingerprint_ ^ word) * 0x100000001b3; }

  Sim sim_;
  SimArray array_;
  ControlHost control_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  Users users_{sim_, control_, nodes_};
  Faults faults_{sim_, array_, control_, users_, nodes_};
  const bool promises_;  // half of the histories go without leases and wishes, which forbid and cause moves
  bool over_ = false;
  uint64_t fingerprint_ = 0xcbf29ce484222325;
};

}  // namespace

Verdict RunHistory(uint64_t seed, Plant plant, bool trace) {
  spdlog::set_level(spdlog::level::off);
  return History(seed, plant, trace).Run();
}

std::string ReplayCommand(uint64_t seed) {
  return absl::StrCat("FLOCKER_SIM_SEED=", seed, " build/dev/bin/sim_cluster_tests --gtest_filter=*KeepEveryPromise");
}

}  // namespace flocker::sim
