// A storage array: LUNs, and who may log in to them. The driver interface of DESIGN §7; the actions of DESIGN §4.
//
// Every call blocks on the array, seconds at worst (each driver names its limit), and repeats safely: after a crash in
// the middle of a call, or of this process, the same call again leads to the same end. Calls for different datasets may
// run at once; a dataset has at most one call at a time. An array keeps no notion of datasets: which grant is current
// is the caller's record alone.
//
// Errors any call may answer: Unavailable when the array cannot be reached (nothing is known about what it did),
// Internal when it refused for a reason of its own, which the message quotes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/admission.h"
#include "engine/model/dataset.h"

namespace flocker {

// A login that is alive on the array.
struct ArraySession {
  std::string initiator;
  uint64_t id = 0;  // the array's own number of it
  bool operator==(const ArraySession&) const = default;
};

// What the array holds of one dataset. Any part may be missing after a crash.
struct ArrayEntry {
  DatasetId id;
  std::optional<uint64_t> size;      // bytes; empty when there is no LUN
  uint64_t used = 0;                 // bytes of it that take space; 0: nothing was ever written to it
  std::string record;                // as WriteRecord left it; empty when there is none
  bool exported = false;             // a target exists
  std::vector<std::string> allowed;  // initiator names that may log in
  std::vector<ArraySession> sessions;
};

class Array {
 public:
  virtual ~Array() = default;

  virtual absl::StatusOr<PoolCapacity> Capacity() = 0;

  // OK when it would do now what it is told to. Cheap, however much it holds.
  virtual absl::Status Answers() { return Capacity().status(); }

  // A thin LUN of `size` bytes that reads as zeroes, and its record beside it, both durable. A LUN of that size that
  // exists is left as it is; AlreadyExists when it has another.
  virtual absl::Status Create(const DatasetId& id, uint64_t size, const std::string& record) = 0;

  // Grows the LUN; durable. Sessions that are logged in may be cut, and log in again to the new size. InvalidArgument
  // when it is larger already, NotFound when there is none.
  virtual absl::Status Resize(const DatasetId& id, uint64_t size) = 0;

  // Removes LUN, record and whatever exports them. OK when there is none. FailedPrecondition while a session is alive.
  virtual absl::Status Destroy(const DatasetId& id) = 0;

  // Replaces the record beside the LUN (opaque text), durably: after a crash the old or the new.
  virtual absl::Status WriteRecord(const DatasetId& id, const std::string& record) = 0;

  // From now on exactly this grant's initiator, with this grant's CHAP user and secret, can log in, and nobody else.
  // The answer says where. FailedPrecondition, naming it, while a session of any other initiator is alive: revoke or
  // fence its grant first. NotFound when there is no LUN. Also re-exports after the array forgot everything in a
  // restart.
  virtual absl::StatusOr<LunAddress> Grant(const DatasetId& id, const flocker::Grant& grant) = 0;

  // Withdraws a grant whose node let go: afterwards nobody can log in, no session of it is alive, and no command of it
  // can reach the LUN any more. OK when it is not there. DeadlineExceeded, naming session and initiator, when a session
  // stays, as it does while a command of it is stuck in the backing store: nothing may be granted then; call again.
  virtual absl::Status Revoke(const DatasetId& id, const flocker::Grant& grant) = 0;

  // The same promise against a node that does not cooperate: cuts its live sessions. OK is the proof that not one more
  // write of this grant arrives.
  virtual absl::Status Fence(const DatasetId& id, const flocker::Grant& grant) = 0;

  // Fence of every grant there is, whoever remembers it.
  virtual absl::Status CutOff(const DatasetId& id) = 0;

  // Fence(previous), then Grant(next).
  virtual absl::StatusOr<LunAddress> Renew(const DatasetId& id, const flocker::Grant& previous,
                                           const flocker::Grant& next) = 0;

  // Everything of ours on the array; what others put there is neither listed nor ever touched.
  virtual absl::StatusOr<std::vector<ArrayEntry>> List() = 0;

  // `restarted` is called, from a thread of the driver or from within a failing call, each time the array is noticed to
  // have forgotten its exports; grant again whatever is to be attached. It must not block nor call the array. Set once,
  // before the first call.
  virtual void OnRestart(std::function<void()> restarted) = 0;
};

}  // namespace flocker
