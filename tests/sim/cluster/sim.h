// What every simulated part shares: time, chance, network, truth, and a voice for whoever replays a seed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "clock.h"
#include "durable.h"
#include "network.h"
#include "plant.h"
#include "random.h"
#include "truth.h"

namespace flocker::sim {

struct Sim {
  Sim(uint64_t seed, Plant planted, bool traced) : random(seed), plant(planted), tracing(traced) {}
  Sim(const Sim&) = delete;
  Sim& operator=(const Sim&) = delete;

  // One line of the replay, at its moment; the arguments are only put together when somebody listens.
  template <class... Parts>
  void Say(const Parts&... parts) {
    if (!tracing) return;
    std::printf("%9.4f %s\n", absl::ToDoubleSeconds(clock.now() - start), absl::StrCat(parts...).c_str());
  }
  bool planted(Plant what) const { return plant == what; }

  Clock clock;
  Random random;
  Network network{clock, random};
  Durable durable;
  Truth truth{durable};
  const Plant plant;
  const bool tracing;
  const absl::Duration start = clock.now();
};

}  // namespace flocker::sim
