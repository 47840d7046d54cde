// Who may get inside a dataset now, who waits, and who is refused.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/catalog/catalog.h"
#include "fusefs/deadlines.h"
#include "fusefs/local_mount.h"
#include "fusefs/refusals.h"
#include "fusefs/request.h"
#include "fusefs/saved_state.h"
#include "fusefs/view.h"
#include "fusefs/worker_pool.h"

namespace flocker {

// Every request that wants inside a dataset passes here and is judged by the catalogue and the gates:
//
//     Enter ---- mounted here, no gate ---------------> work, on a worker thread of the attachment
//       |  ^---- shown here, not mounted; or gated ---> parked: a Request in a table, until the catalogue or the gate
//       |                                               changes, the caller is interrupted (EINTR) or attach_timeout
//       |                                               passed (ETIMEDOUT)
//       +------- elsewhere, gone, another attachment -> EREMOTE, ESTALE at once
//
// A gate shuts the door and nothing else: open files go on. Nothing here blocks; callbacks run on any thread, without
// locks. Lock order: this mutex, then View's, a LocalMount's, libfuse's own. Request replies take libfuse's only.
class Datasets {
 public:
  struct Options {
    absl::Duration attach_timeout = absl::Seconds(60);
  };
  Datasets(const Options& options, const View& view, Refusals& refusals, Deadlines& deadlines, WorkerThreads& threads,
           SavedState& state);

  // What to do inside; runs on a worker thread that may block.
  using Work = absl::AnyInvocable<void(Request, LocalMount::Use)>;
  struct Visit {
    DatasetId dataset;
    std::optional<uint32_t> serial;  // the attachment it is about; none for the dataset's root, which outlives them
    Work work;
    // Only to list it. That waits until attach_timeout after the dataset was first seen to be missing, and no longer,
    // so what walks the whole tree waits once and not for each dataset that cannot be attached.
    bool listing = false;
  };
  void Enter(Request request, Visit visit) EXCLUDES(mutex_);

  // The attributes of a dataset's root: ext4's when it is mounted here, the last that were seen while it is gated, else
  // what the catalogue says. Never waits.
  struct stat RootAttributes(const CatalogDataset& dataset) EXCLUDES(mutex_);

  // A use of the present attachment if the door is open right now.
  std::optional<LocalMount::Use> TryEnter(const CatalogDataset& dataset) EXCLUDES(mutex_);

  // A use of that attachment although the door is shut, but only while something holds it: for what the kernel asks
  // on behalf of an open file, which a gate lets go on.
  std::optional<LocalMount::Use> Join(const DatasetId& dataset, uint32_t serial) EXCLUDES(mutex_);

  // Shuts the door, then waits up to `grace` for those inside to leave. `answer` gets how many did not.
  using GateAnswer = std::function<void(uint32_t uses)>;
  void Gate(const DatasetId& dataset, absl::Duration grace, const GateAnswer& answer) EXCLUDES(mutex_);
  void Ungate(const DatasetId& dataset) EXCLUDES(mutex_);
  void UngateAll() EXCLUDES(mutex_);
  // Gates these, and no others, without an answer: what the agent has gated when its stream begins.
  void GateOnly(const std::vector<DatasetId>& gated) EXCLUDES(mutex_);
  // Gates what was gated when the predecessor died.
  void InheritGates() EXCLUDES(mutex_);

  // Between these two whoever wants inside waits as for a gate: what a predecessor had open is opened again.
  void Hold(const DatasetId& dataset) EXCLUDES(mutex_);
  void LetIn(const DatasetId& dataset) EXCLUDES(mutex_);

  // Lets go of the attachment of that epoch: `close_files` closes what is open in it, `done` runs when its mount is
  // held no more. If the catalogue still shows it mounted later, it is opened anew.
  void Drop(const DatasetId& dataset, uint64_t mount_epoch, const std::function<void(const LocalMount&)>& close_files,
            LocalMount::Callback done) EXCLUDES(mutex_);

  // The catalogue has news: those parked are judged again, and attachments that are over are let go.
  void CatalogChanged() EXCLUDES(mutex_);

  // FUSE_INTERRUPT of a parked request. One that is not parked (any more) goes on.
  void Interrupt(uint64_t parked) EXCLUDES(mutex_);

  // Answers EIO to all who wait, closes every attachment. For the end.
  void Clear() EXCLUDES(mutex_);

 private:
  struct Parked {
    Request request;
    Visit visit;
    uint64_t id = 0;
  };
  struct State {
    bool gated = false;
    std::optional<absl::Time> missing_since;  // seen not to be attached here since then; monotonic
    SavedGate* saved_gate = nullptr;          // may be null although it is gated, when there is no room
    bool held = false;
    std::shared_ptr<LocalMount> attachment;     // the present one, once somebody used it
    std::list<std::weak_ptr<LocalMount>> past;  // earlier ones with files still open
    uint32_t root_serial = 0;                   // the attachment that `root` was seen in
    struct stat root {};
  };
  enum class Verdict { kIn, kWait, kOut };
  struct Judgement {
    Verdict verdict = Verdict::kOut;
    std::optional<LocalMount::Use> use;  // kIn
    std::string name;                    // for the log
    absl::Status why;                    // kOut: what to answer; kWait: what is missing
  };

  void SetGate(const DatasetId& dataset, State& state, bool gated) REQUIRES(mutex_);
  Judgement Judge(const Visit& visit) REQUIRES(mutex_);
  absl::StatusOr<LocalMount::Use> Attach(State& state, const CatalogDataset& dataset) REQUIRES(mutex_);
  void Park(Request request, Visit visit) REQUIRES(mutex_);
  // Sets missing_since wherever it is due: somebody has just met such a dataset, and may walk on to the next.
  void NoteMissing() REQUIRES(mutex_);
  // Carries out a judgement that is not kWait.
  void Act(Request request, Visit visit, Judgement judgement) EXCLUDES(mutex_);
  // Judges those parked again. Whoever still has to wait stays where it is: its deadline and interrupt look there.
  void Wake() EXCLUDES(mutex_);
  void Expire(uint64_t parked) EXCLUDES(mutex_);
  std::optional<Parked> Take(uint64_t parked) EXCLUDES(mutex_);

  const Options options_;
  const View& view_;
  Refusals& refusals_;
  Deadlines& deadlines_;
  WorkerThreads& threads_;

  Mutex mutex_;
  SavedArray<SavedGate>& gates_ GUARDED_BY(mutex_);
  absl::flat_hash_map<DatasetId, State> states_ GUARDED_BY(mutex_);
  std::list<Parked> parked_ GUARDED_BY(mutex_);  // in the order of their coming
  uint64_t next_parked_ GUARDED_BY(mutex_) = 1;
};

}  // namespace flocker
