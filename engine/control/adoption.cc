#include "engine/control/adoption.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/control/retention.h"
#include "engine/model/codec.h"
#include "engine/model/planner.h"
#include "engine/store/backup.h"

namespace flocker {
namespace {

bool HoldsName(const Dataset& dataset) { return dataset.placement.phase != Phase::kTrashed; }

uint64_t HighestEpoch(const ArrayEntry& entry) {
  uint64_t epoch = 0;
  for (const std::string& initiator : entry.allowed) {
    epoch = std::max(epoch, GrantOfInitiator(entry.id, initiator).epoch);
  }
  for (const ArraySession& session : entry.sessions) {
    epoch = std::max(epoch, GrantOfInitiator(entry.id, session.initiator).epoch);
  }
  return epoch;
}

// Nobody holds it any more: what was wished is so, and what was under way is over.
void Settle(Dataset& dataset, uint64_t epoch, int64_t now_ms, int64_t trash_clock_ms) {
  if (!dataset.desired.name.empty()) dataset.SetName(dataset.desired.name);
  dataset.desired.name = dataset.name;
  dataset.desired.force = dataset.desired.leave = false;
  dataset.placement = {};
  dataset.placement.phase = dataset.desired.deleted ? Phase::kTrashed : Phase::kDetached;
  dataset.placement.epoch = epoch + kEpochJump;
  if (dataset.desired.deleted && dataset.trashed_ms == 0) dataset.trashed_ms = now_ms;
  dataset.trashed_clock_ms = dataset.desired.deleted ? trash_clock_ms : 0;  // its retention begins anew
  if (!dataset.operation.done && dataset.operation.kind == "exchange") {
    dataset.operation.cause = std::string(CauseName(Cause::kIo));
    dataset.operation.message = "it was given up when control's state was adopted";
  }
  dataset.operation.done = true;
  dataset.error.clear();
}

void SortByAge(std::vector<Dataset>& datasets) {
  std::stable_sort(datasets.begin(), datasets.end(),
                   [](const Dataset& a, const Dataset& b) { return a.created_ms < b.created_ms; });
}

// Records are written one after the other, so that two may claim one name: then the first in line keeps it.
void SeparateNames(std::vector<Dataset>& datasets, std::vector<std::string>& notes) {
  std::set<std::string> names;
  for (Dataset& dataset : datasets) {
    if (!HoldsName(dataset) || names.insert(dataset.name).second) continue;
    const std::string taken = dataset.name;
    dataset.SetName(absl::StrCat(taken.substr(0, 100), "-", dataset.id.Short()));
    dataset.desired.name = dataset.name;
    names.insert(dataset.name);
    notes.push_back(absl::StrCat("two datasets are named ", taken, "; one is now ", dataset.name));
  }
}

}  // namespace

absl::StatusOr<Adoption> PlanAdoption(const Snapshot& state, const std::vector<ArrayEntry>& entries, int64_t now_ms) {
  const bool restored = state.meta.contains(kRestoredMeta);
  const int64_t trash_clock_ms = Retention({}, state, {}).Clock({});
  std::map<DatasetId, Dataset> known;
  for (const Dataset& dataset : state.datasets) known[dataset.id] = dataset;
  const std::set<DatasetId> gone(state.tombstones.begin(), state.tombstones.end());

  Adoption adoption;
  for (const ArrayEntry& entry : entries) {
    if (!entry.size) {  // what the state knows of it is dealt with below
      if (!known.contains(entry.id)) {
        adoption.notes.push_back(absl::StrCat(entry.id.str(), " has a record and no LUN; it is left as it is"));
      }
      continue;
    }
    std::optional<Dataset> dataset;
    if (const auto it = known.find(entry.id); it != known.end()) dataset = std::move(known.extract(it).mapped());
    uint64_t epoch = std::max(HighestEpoch(entry), dataset ? dataset->placement.epoch : 0);
    if (!entry.record.empty()) {
      auto record = DatasetFromJson(entry.record);
      if (!record.ok() || record->id != entry.id) {
        return absl::DataLossError(
            absl::StrCat("the record ", entry.id.str(), ".json beside its LUN ",
                         record.ok() ? "is another dataset's" : std::string(record.status().message()),
                         ". Nothing was changed; repair it, or move it and its LUN away to go on without them"));
      }
      epoch = std::max(epoch, record->placement.epoch);
      if (!dataset || (restored && record->placement.epoch >= dataset->placement.epoch)) {
        record->formatted = record->formatted || (dataset && dataset->formatted);
        dataset = *std::move(record);
      }
    }
    if (!dataset || gone.contains(entry.id)) {
      adoption.notes.push_back(absl::StrCat(
          entry.id.str(), !dataset ? " is a LUN without a record" : " was purged and is still on the array",
          "; it is left as it is"));
      continue;
    }
    dataset->formatted = dataset->formatted || entry.used != 0;
    dataset->grows_from = dataset->size > *entry.size ? *entry.size : 0;
    if (dataset->grows_from == 0) dataset->size = *entry.size;
    Settle(*dataset, epoch, now_ms, trash_clock_ms);
    adoption.datasets.push_back(*std::move(dataset));
  }
  SortByAge(adoption.datasets);  // an older one keeps its name, and one without data comes after all of them
  for (auto& [id, dataset] : known) {
    const bool never_made = dataset.placement.phase == Phase::kProvisioning;
    if (!never_made) {
      adoption.notes.push_back(absl::StrCat(dataset.name, " (", id.str(), ") has no LUN on the array"));
      Settle(dataset, dataset.placement.epoch, now_ms, trash_clock_ms);
    }
    adoption.datasets.push_back(std::move(dataset));
  }
  SeparateNames(adoption.datasets, adoption.notes);
  return adoption;
}

absl::StatusOr<std::vector<std::string>> Adopt(Store& store, Array& array, int64_t now_ms) {
  ASSIGN_OR_RETURN(const Snapshot state, store.Load());
  ASSIGN_OR_RETURN(const std::vector<ArrayEntry> entries, array.List());
  ASSIGN_OR_RETURN(Adoption adoption, PlanAdoption(state, entries, now_ms));
  for (const ArrayEntry& entry : entries) {
    RETURN_IF_ERROR(array.CutOff(entry.id));  // whatever the listing says: the pool may have had another name
  }
  Batch batch;
  batch.put = adoption.datasets;
  batch.meta[kRestoredMeta] = "";
  Event event;
  event.seq = state.last_event + 1;
  event.time_ms = now_ms;
  event.kind = "adopted";
  event.message = absl::StrCat(adoption.datasets.size(), " datasets; whoever held one was fenced");
  batch.events.push_back(event);
  for (const std::string& note : adoption.notes) {
    ++event.seq;
    event.message = note;
    batch.events.push_back(event);
  }
  RETURN_IF_ERROR(store.Commit(batch));
  std::set<DatasetId> there;
  for (const ArrayEntry& entry : entries) {
    if (entry.size) there.insert(entry.id);
  }
  for (const Dataset& dataset : adoption.datasets) {
    if (!there.contains(dataset.id)) continue;
    RETURN_IF_ERROR(array.WriteRecord(dataset.id, ToJson(dataset, Secrets::kOmit)));
  }
  adoption.notes.insert(adoption.notes.begin(), batch.events.front().message);
  return std::move(adoption.notes);
}

}  // namespace flocker
