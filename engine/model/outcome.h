// What came of an action, and what the record becomes by it: the other pure half of the state machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/status.h"
#include "engine/model/dataset.h"
#include "engine/model/planner.h"

namespace flocker {

enum class OutcomeKind {
  // the array's
  kCreated,
  kCreateFailed,  // the LUN could not be made: the dataset is undone
  kGranted,       // `address` tells where; answers kArrayGrant and kArrayRenew. `message`: why the LUN did not grow
  kRevoked,
  kFenced,
  kDestroyed,
  // the agent's
  kFormatted,  // an ext4 of ours is on the LUN, never mounted so far
  kAttached,   // `message`: what is not as it should be all the same
  kReleased,
  kBusy,         // held by somebody; `message` names them
  kSessionLost,  // the LUN's session is gone
  kNotHeld,      // the node has nothing of it, though it was attached there
  // either's
  kFailed,  // the step did not work and will be tried again; `message` says why
};

struct StepOutcome {
  OutcomeKind kind;
  DatasetId dataset;
  uint64_t epoch = 0;  // that the action or report was about; anything but the record's own epoch is ignored
  std::string message;
  Cause cause = Cause::kIo;  // of kCreateFailed
  LunAddress address;        // of kGranted
  uint64_t lun_size = 0;     // of kGranted: bytes the LUN has now, whatever was wished meanwhile; 0: not known
  uint32_t block_size = 0;   // of kAttached; 0 when unknown
};

struct Applied {
  Dataset dataset;    // the record as it becomes
  bool gone = false;  // it is to be erased, a tombstone kept; its operation is done with it
};

// nullopt: the outcome is stale or says nothing new, and nothing changes. `fresh` serves a renewal.
std::optional<Applied> Apply(const Dataset& dataset, const StepOutcome& outcome, const Fresh& fresh);

}  // namespace flocker
