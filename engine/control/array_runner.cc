#include "engine/control/array_runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/fault.h"
#include "engine/model/codec.h"

namespace flocker {
namespace {

absl::Status FenceAll(Array& array, const Dataset& dataset) {
  // Cut off in the middle of a renewal, either grant may be the one that is let in.
  if (dataset.placement.previous) RETURN_IF_ERROR(array.Fence(dataset.id, *dataset.placement.previous));
  return array.Fence(dataset.id, dataset.placement.grant);
}

StepOutcome FromStatus(const absl::Status& status, OutcomeKind success, OutcomeKind failure) {
  StepOutcome outcome;
  outcome.kind = status.ok() ? success : failure;
  if (!status.ok()) {
    outcome.message = std::string(status.message());
    outcome.cause = CauseOf(status);
  }
  return outcome;
}

StepOutcome FromGrant(absl::StatusOr<LunAddress> address) {
  StepOutcome outcome = FromStatus(address.status(), OutcomeKind::kGranted, OutcomeKind::kFailed);
  if (address.ok()) outcome.address = *std::move(address);
  return outcome;
}

absl::StatusOr<uint64_t> SizeOnArray(Array& array, const DatasetId& id) {
  ASSIGN_OR_RETURN(const std::vector<ArrayEntry> entries, array.List());
  for (const ArrayEntry& entry : entries) {
    if (entry.id == id && entry.size) return *entry.size;
  }
  return absl::NotFoundError(absl::StrCat("the array has no LUN of ", id.str()));
}

// The grant, and before it the growth of a LUN that is to grow: nobody is logged in then. One that the array will not
// make larger is granted as it is, for users wait for it.
StepOutcome LetIn(Array& array, const Dataset& dataset) {
  const Placement& placement = dataset.placement;
  absl::Status grown;
  if (dataset.grows_from != 0) {
    if (placement.previous) grown = array.Fence(dataset.id, *placement.previous);
    if (!grown.ok()) return FromGrant(grown);
    grown = array.Resize(dataset.id, dataset.size);
    if (absl::IsUnavailable(grown)) return FromGrant(grown);
  }
  StepOutcome outcome = FromGrant(placement.previous ? array.Renew(dataset.id, *placement.previous, placement.grant)
                                                     : array.Grant(dataset.id, placement.grant));
  if (outcome.kind != OutcomeKind::kGranted) return outcome;
  outcome.lun_size = dataset.size;
  if (grown.ok()) return outcome;
  const auto size = SizeOnArray(array, dataset.id);  // it may have grown, and failed then
  if (!size.ok()) return FromGrant(size.status());
  outcome.lun_size = *size;
  outcome.message = absl::StrCat("it did not grow: ", grown.message());
  return outcome;
}

StepOutcome Run(Array& array, const Action& action, const Dataset& dataset) {
  const Placement& placement = dataset.placement;
  switch (action.kind) {
    case ActionKind::kArrayCreate:
      return FromStatus(array.Create(dataset.id, dataset.size, ToJson(dataset, Secrets::kOmit)), OutcomeKind::kCreated,
                        OutcomeKind::kCreateFailed);
    case ActionKind::kArrayGrant:
    case ActionKind::kArrayRenew:
      return LetIn(array, dataset);
    case ActionKind::kArrayRevoke:
      return FromStatus(array.Revoke(dataset.id, placement.grant), OutcomeKind::kRevoked, OutcomeKind::kFailed);
    case ActionKind::kArrayFence:
      return FromStatus(FenceAll(array, dataset), OutcomeKind::kFenced, OutcomeKind::kFailed);
    case ActionKind::kArrayDestroy:
      return FromStatus(array.Destroy(dataset.id), OutcomeKind::kDestroyed, OutcomeKind::kFailed);
    case ActionKind::kAgentAttach:
    case ActionKind::kAgentRelease:
      break;
  }
  return FromStatus(absl::InternalError("not an action of the array's"), OutcomeKind::kFailed, OutcomeKind::kFailed);
}

}  // namespace

StepOutcome RunArrayAction(Array& array, const Action& action, const Dataset& dataset) {
  StepOutcome outcome = Run(array, action, dataset);
  outcome.dataset = action.dataset;
  outcome.epoch = action.epoch;
  return outcome;
}

absl::Status CutOffStrayOn(Array& array, const DatasetId& id, const std::string& initiator) {
  return initiator.empty() ? array.CutOff(id) : array.Fence(id, GrantOfInitiator(id, initiator));
}

ArrayRunner::ArrayRunner(Array& array, size_t threads, Callbacks callbacks)
    : array_(array), callbacks_(std::move(callbacks)) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ArrayRunner::~ArrayRunner() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ArrayRunner::Start(const Action& action, const Dataset& dataset) {
  Enqueue(dataset.id, [this, action, dataset] {
    const absl::Time start = SteadyNow();
    FLOCKER_FAULT_POINT("control.before.", ActionName(action.kind));
    const StepOutcome outcome = RunArrayAction(array_, action, dataset);
    FLOCKER_FAULT_POINT("control.after.", ActionName(action.kind));
    callbacks_.done(action, outcome, SteadyNow() - start);
  });
}

void ArrayRunner::WriteRecord(const Dataset& dataset) {
  Enqueue(dataset.id, [this, dataset] {
    const absl::Status status = array_.WriteRecord(dataset.id, ToJson(dataset, Secrets::kOmit));
    if (!status.ok()) callbacks_.record_failed(dataset.id, status);
  });
}

void ArrayRunner::RequestCapacity() {
  Enqueue(DatasetId(), [this] { callbacks_.capacity(array_.Capacity()); });
}

void ArrayRunner::RequestList() {
  Enqueue(DatasetId(), [this] { callbacks_.list(array_.List()); });
}

void ArrayRunner::CutOffStray(const DatasetId& id, const std::string& initiator) {
  Enqueue(id, [this, id, initiator] {
    if (const absl::Status status = CutOffStrayOn(array_, id, initiator); !status.ok()) {
      callbacks_.stray_stays(id, status);
    }
  });
}

void ArrayRunner::Enqueue(const DatasetId& id, Job job) {
  const MutexLock lock(mutex_);
  std::deque<Job>& queue = queues_[id];
  queue.push_back(std::move(job));
  if (queue.size() == 1) {
    ready_.push_back(id);
    wake_.NotifyOne();
  }
}

void ArrayRunner::Work() {
  while (true) {
    DatasetId id;
    Job job;
    {
      MutexLock lock(mutex_);
      while (ready_.empty() && !stopping_) wake_.Wait(lock);
      if (stopping_) return;
      id = ready_.front();
      ready_.pop_front();
      job = queues_[id].front();
    }
    job();
    const MutexLock lock(mutex_);
    std::deque<Job>& queue = queues_[id];
    queue.pop_front();
    if (queue.empty()) {
      queues_.erase(id);
    } else {
      ready_.push_back(id);
      wake_.NotifyOne();
    }
  }
}

}  // namespace flocker
