// Asking a LUN who it is and what it can, after a login and whenever it may have changed.
//
//     unit attentions drained (TEST UNIT READY until GOOD) -> VPD 0x83 -> READ CAPACITY (16) -> VPD 0xB0 -> VPD 0xB2 ->
//     done
//
// A unit attention or "not ready" in between repeats the step it hit.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/lun/geometry.h"

struct iscsi_context;
struct scsi_task;

namespace flocker::lun {

class Probe {
 public:
  // Called once for every Start, from inside iscsi_service; with an error when the LUN cannot be used, or when the
  // session ends.
  using Done = std::function<void(absl::StatusOr<Geometry>)>;

  explicit Probe(Done done) : done_(std::move(done)) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // The context must be logged in and stay until Done. Not while running().
  void Start(iscsi_context* iscsi, int lun);
  bool running() const { return running_; }

 private:
  enum class Step { kReady, kIdentity, kCapacity, kLimits, kProvisioning };

  static void Answered(iscsi_context* iscsi, int status, void* data, void* self);
  void Issue();
  void OnAnswer(int status, scsi_task* task);
  absl::Status Take(scsi_task* task);
  void Finish(absl::StatusOr<Geometry> result);

  Done done_;
  iscsi_context* iscsi_ = nullptr;
  int lun_ = 0;
  bool running_ = false;
  Step step_ = Step::kReady;
  int repeats_ = 0;
  Geometry found_;
};

}  // namespace flocker::lun
