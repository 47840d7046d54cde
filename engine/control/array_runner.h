// Runs array calls, which block, on a few threads of their own: those of one dataset in the order they were asked,
// those of different datasets beside each other.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "engine/array/array.h"
#include "engine/base/mutex.h"
#include "engine/model/outcome.h"

namespace flocker {

class ArrayRunner {
 public:
  // Called on the runner's threads.
  struct Callbacks {
    std::function<void(const Action&, const StepOutcome&, absl::Duration took)> done;
    std::function<void(const absl::StatusOr<PoolCapacity>&)> capacity;
    std::function<void(const DatasetId&, const absl::Status&)> record_failed;
    std::function<void(const absl::StatusOr<std::vector<ArrayEntry>>&)> list;
    std::function<void(const DatasetId&, const absl::Status&)> stray_stays;
  };

  ArrayRunner(Array& array, size_t threads, Callbacks callbacks);
  // Lets what runs come to its end and forgets the rest.
  ~ArrayRunner();
  ArrayRunner(const ArrayRunner&) = delete;
  ArrayRunner& operator=(const ArrayRunner&) = delete;

  void Start(const Action& action, const Dataset& dataset);
  void WriteRecord(const Dataset& dataset);
  void RequestCapacity();
  void RequestList();
  // Everybody when `initiator` is empty.
  void CutOffStray(const DatasetId& id, const std::string& initiator);

 private:
  using Job = std::function<void()>;
  void Enqueue(const DatasetId& id, Job job);
  void Work();

  Array& array_;
  const Callbacks callbacks_;
  Mutex mutex_;
  CondVar wake_;
  // The jobs of each dataset that has any; the first of a queue is running or its id is in ready_.
  std::map<DatasetId, std::deque<Job>> queues_ GUARDED_BY(mutex_);
  std::deque<DatasetId> ready_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

absl::Status CutOffStrayOn(Array& array, const DatasetId& id, const std::string& initiator);

// What the outcome of an array call means to the planner: OK, or the failure as the record must see it.
StepOutcome RunArrayAction(Array& array, const Action& action, const Dataset& dataset);

}  // namespace flocker
