#include "fusefs/datasets.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/catalog/inode_numbers.h"
#include "fusefs/errno.h"
#include "fusefs/interrupt.h"

namespace flocker {
namespace {

// A dataset's root as the catalogue describes it, while its ext4 is not at hand.
struct stat DescribedRoot(const CatalogDataset& dataset) {
  struct stat root {};
  root.st_ino = RootInode(dataset.id);
  root.st_mode = S_IFDIR | (dataset.root_mode & 07777);
  root.st_nlink = 2;
  root.st_uid = dataset.root_uid;
  root.st_gid = dataset.root_gid;
  root.st_size = 4096;
  root.st_blksize = 4096;
  root.st_mtim.tv_sec = dataset.created_ms / 1000;
  root.st_mtim.tv_nsec = dataset.created_ms % 1000 * 1'000'000;
  root.st_atim = root.st_ctim = root.st_mtim;
  return root;
}

absl::Status Stale() {
  return Refuse(Cause::kStale, "this file belongs to an attachment that is over; look it up again");
}

}  // namespace

Datasets::Datasets(const Options& options, const View& view, Refusals& refusals, Deadlines& deadlines,
                   WorkerThreads& threads, SavedState& state)
    : options_(options),
      view_(view),
      refusals_(refusals),
      deadlines_(deadlines),
      threads_(threads),
      gates_(state.gates()) {}

void Datasets::Enter(Request request, Visit visit) {
  Judgement judgement;
  {
    MutexLock lock(mutex_);
    judgement = Judge(visit);
    if (judgement.verdict == Verdict::kWait) {
      Park(std::move(request), std::move(visit));
      return;
    }
  }
  Act(std::move(request), std::move(visit), std::move(judgement));
}

void Datasets::Act(Request request, Visit visit, Judgement judgement) {
  if (judgement.verdict == Verdict::kOut) {
    if (CauseOf(judgement.why) != Cause::kStale) refusals_.Here({visit.dataset, judgement.name}, judgement.why);
    request.Error(StatusErrno(judgement.why));
    return;
  }
  WorkerPool& workers = (*judgement.use)->workers();
  workers.Submit([request = std::move(request), work = std::move(visit.work),
                  use = *std::move(judgement.use)]() mutable { work(std::move(request), std::move(use)); });
}

Datasets::Judgement Datasets::Judge(const Visit& visit) {
  Judgement judgement;
  const auto dataset = view_.Find(visit.dataset);
  if (!dataset && !view_.Told()) {  // the kernel knows it, from a predecessor
    judgement.verdict = Verdict::kWait;
    judgement.why = Refuse(Cause::kTimeout, "this machine's agent has not heard of control since it was upgraded");
    return judgement;
  }
  if (!dataset || dataset->node.empty()) {
    judgement.why = Refuse(Cause::kStale, "the dataset was destroyed");
    return judgement;
  }
  judgement.name = dataset->name;
  if (!view_.IsHere(*dataset)) {
    const std::string there = view_.NodeName(dataset->node);
    judgement.why = Refuse(Cause::kElsewhere, absl::StrCat("it is on ", there, "; use it there, or mv ", there, "/",
                                                           dataset->name, " to ", view_.own_name(), "/"));
    return judgement;
  }
  State& state = states_[visit.dataset];
  if (state.gated) {
    judgement.verdict = Verdict::kWait;
    judgement.why = Refuse(Cause::kTimeout, "it is being moved or destroyed");
    return judgement;
  }
  if (visit.serial && *visit.serial != dataset->serial) {
    judgement.why = Stale();
    return judgement;
  }
  if (state.held) {
    judgement.verdict = Verdict::kWait;
    judgement.why = Refuse(Cause::kTimeout, "files of it that were open are being opened again");
    return judgement;
  }
  if (dataset->serial == 0) {
    if (!state.missing_since) NoteMissing();
    judgement.verdict = Verdict::kWait;
    judgement.why =
        Refuse(Cause::kTimeout, absl::StrCat("it is not attached yet (", std::string(PhaseName(dataset->phase)),
                                             dataset->error.empty() ? "" : ": ", dataset->error, ")"));
    return judgement;
  }
  auto use = Attach(state, *dataset);
  if (!use.ok()) {
    // The catalogue shows a mount that is no longer (or not yet) there: the next version of it will tell.
    judgement.verdict = Verdict::kWait;
    judgement.why = Refuse(Cause::kTimeout, std::string(use.status().message()));
    return judgement;
  }
  judgement.verdict = Verdict::kIn;
  judgement.use.emplace(*std::move(use));
  return judgement;
}

absl::StatusOr<LocalMount::Use> Datasets::Attach(State& state, const CatalogDataset& dataset) {
  if (state.attachment != nullptr && state.attachment->serial() == dataset.serial) {
    if (auto use = state.attachment->Enter()) return *std::move(use);
  }
  ASSIGN_OR_RETURN(std::shared_ptr<LocalMount> opened, LocalMount::Open(dataset.id, dataset.serial, dataset.mount_epoch,
                                                                        view_.MountPath(dataset), threads_));
  if (state.attachment != nullptr) {
    state.attachment->Retire([] {});
    state.past.push_back(state.attachment);
  }
  state.attachment = std::move(opened);
  state.root = state.attachment->root();
  state.root_serial = dataset.serial;
  return *state.attachment->Enter();
}

std::optional<LocalMount::Use> Datasets::TryEnter(const CatalogDataset& dataset) {
  if (dataset.serial == 0 || !view_.IsHere(dataset)) return std::nullopt;
  MutexLock lock(mutex_);
  State& state = states_[dataset.id];
  if (state.gated) return std::nullopt;
  auto use = Attach(state, dataset);
  if (!use.ok()) return std::nullopt;
  return *std::move(use);
}

std::optional<LocalMount::Use> Datasets::Join(const DatasetId& dataset, uint32_t serial) {
  MutexLock lock(mutex_);
  const auto state = states_.find(dataset);
  if (state == states_.end() || state->second.attachment == nullptr) return std::nullopt;
  if (state->second.attachment->serial() != serial) return std::nullopt;
  return state->second.attachment->Join();
}

struct stat Datasets::RootAttributes(const CatalogDataset& dataset) {
  if (dataset.serial == 0 || !view_.IsHere(dataset)) return DescribedRoot(dataset);
  struct stat root {};
  if (auto use = TryEnter(dataset); use && fstat((*use)->mount(), &root) == 0) {
    root = (*use)->Shown(root);
    MutexLock lock(mutex_);
    State& state = states_[dataset.id];
    state.root = root;
    state.root_serial = dataset.serial;
    return root;
  }
  MutexLock lock(mutex_);
  const auto state = states_.find(dataset.id);
  const bool seen = state != states_.end() && state->second.root_serial == dataset.serial;
  return seen ? state->second.root : DescribedRoot(dataset);
}

void Datasets::NoteMissing() {
  const absl::Time now = SteadyNow();
  for (const CatalogDataset& dataset : view_.Here()) {
    if (dataset.serial != 0) continue;
    auto& since = states_[dataset.id].missing_since;
    if (!since) since = now;
  }
}

void Datasets::Park(Request request, Visit visit) {
  const uint64_t id = next_parked_++;
  absl::Duration patience = options_.attach_timeout;
  if (const auto since = states_[visit.dataset].missing_since; visit.listing && since) {
    patience = std::max(absl::ZeroDuration(), *since + options_.attach_timeout - SteadyNow());
  }
  parked_.push_back(Parked{std::move(request), std::move(visit), id});
  deadlines_.After(patience, [this, id] { Expire(id); });
  // With the mutex held: nobody can answer, and so free, the request meanwhile.
  NotifyOnInterrupt(parked_.back().request, id);
}

std::optional<Datasets::Parked> Datasets::Take(uint64_t parked) {
  MutexLock lock(mutex_);
  for (auto at = parked_.begin(); at != parked_.end(); ++at) {
    if (at->id != parked) continue;
    Parked taken = std::move(*at);
    parked_.erase(at);
    return taken;
  }
  return std::nullopt;
}

void Datasets::Interrupt(uint64_t parked) {
  if (auto taken = Take(parked)) taken->request.Error(EINTR);
}

void Datasets::Expire(uint64_t parked) {
  auto taken = Take(parked);
  if (!taken) return;
  Judgement last;
  {
    MutexLock lock(mutex_);
    last = Judge(taken->visit);
  }
  if (last.verdict != Verdict::kWait) return Act(std::move(taken->request), std::move(taken->visit), std::move(last));
  refusals_.Here({taken->visit.dataset, last.name},
                 Annotate(last.why, absl::StrCat("waited ", absl::FormatDuration(options_.attach_timeout))));
  taken->request.Error(StatusErrno(last.why));
}

void Datasets::Wake() {
  struct Woken {
    Parked parked;
    Judgement judgement;
  };
  std::vector<Woken> woken;
  {
    MutexLock lock(mutex_);
    for (auto at = parked_.begin(); at != parked_.end();) {
      Judgement judgement = Judge(at->visit);
      if (judgement.verdict == Verdict::kWait) {
        ++at;
        continue;
      }
      woken.push_back(Woken{std::move(*at), std::move(judgement)});
      at = parked_.erase(at);
    }
  }
  for (Woken& one : woken) Act(std::move(one.parked.request), std::move(one.parked.visit), std::move(one.judgement));
}

void Datasets::Gate(const DatasetId& dataset, absl::Duration grace, const GateAnswer& answer) {
  std::shared_ptr<LocalMount> attachment;
  {
    MutexLock lock(mutex_);
    State& state = states_[dataset];
    SetGate(dataset, state, true);
    attachment = state.attachment;
  }
  if (attachment == nullptr) return answer(0);
  // Whichever comes first answers: the last one leaves, or the grace is over.
  auto answered = std::make_shared<std::atomic<bool>>(false);
  attachment->WhenIdle([answered, answer] {
    if (!answered->exchange(true)) answer(0);
  });
  if (answered->load()) return;
  deadlines_.After(grace, [answered, answer, attachment] {
    if (!answered->exchange(true)) answer(attachment->holds());
  });
}

void Datasets::Ungate(const DatasetId& dataset) {
  {
    MutexLock lock(mutex_);
    SetGate(dataset, states_[dataset], false);
  }
  Wake();
}

void Datasets::SetGate(const DatasetId& dataset, State& state, bool gated) {
  if (state.gated == gated) return;
  // Saved first, ended last: a successor may find a gate too many, never one too few.
  if (gated) {
    SavedGate saved{};
    saved.key = 1;
    SaveId(dataset.str(), saved.dataset);
    state.saved_gate = gates_.Add(saved);
  }
  state.gated = gated;
  if (!gated && state.saved_gate != nullptr) gates_.Remove(std::exchange(state.saved_gate, nullptr));
}

void Datasets::GateOnly(const std::vector<DatasetId>& gated) {
  {
    MutexLock lock(mutex_);
    for (const DatasetId& dataset : gated) SetGate(dataset, states_[dataset], true);
    for (auto& [id, state] : states_) {
      if (std::find(gated.begin(), gated.end(), id) == gated.end()) SetGate(id, state, false);
    }
  }
  Wake();
}

void Datasets::InheritGates() {
  MutexLock lock(mutex_);
  for (SavedGate* saved : gates_.All()) {
    const auto id = DatasetId::Parse(LoadId(saved->dataset));
    State* state = id ? &states_[*id] : nullptr;
    if (state == nullptr || state->gated) {
      gates_.Remove(saved);
      continue;
    }
    state->gated = true;
    state->saved_gate = saved;
  }
}

void Datasets::Hold(const DatasetId& dataset) {
  MutexLock lock(mutex_);
  states_[dataset].held = true;
}

void Datasets::LetIn(const DatasetId& dataset) {
  {
    MutexLock lock(mutex_);
    states_[dataset].held = false;
  }
  Wake();
}

void Datasets::UngateAll() {
  {
    MutexLock lock(mutex_);
    for (auto& [id, state] : states_) SetGate(id, state, false);
  }
  Wake();
}

void Datasets::Drop(const DatasetId& dataset, uint64_t mount_epoch,
                    const std::function<void(const LocalMount&)>& close_files, LocalMount::Callback done) {
  std::shared_ptr<LocalMount> attachment;
  {
    MutexLock lock(mutex_);
    State& state = states_[dataset];
    if (state.attachment != nullptr && state.attachment->mount_epoch() == mount_epoch) {
      attachment = std::move(state.attachment);
      state.past.push_back(attachment);
    }
    for (const auto& past : state.past) {
      auto candidate = past.lock();
      if (candidate != nullptr && candidate->mount_epoch() == mount_epoch) attachment = std::move(candidate);
    }
  }
  if (attachment == nullptr) return done();
  attachment->Retire(std::move(done));
  close_files(*attachment);
}

void Datasets::CatalogChanged() {
  std::vector<std::shared_ptr<LocalMount>> over;
  {
    MutexLock lock(mutex_);
    for (auto at = states_.begin(); at != states_.end();) {
      auto& [id, state] = *at;
      const auto dataset = view_.Find(id);
      if (!dataset || dataset->serial != 0 || !view_.IsHere(*dataset)) state.missing_since.reset();
      state.past.remove_if([](const std::weak_ptr<LocalMount>& past) { return past.expired(); });
      if (state.attachment != nullptr && (!dataset || dataset->serial != state.attachment->serial())) {
        state.past.push_back(state.attachment);
        over.push_back(std::move(state.attachment));
      }
      const bool forgotten =
          !dataset && !state.gated && !state.held && state.attachment == nullptr && state.past.empty();
      const auto here = at++;
      if (forgotten) states_.erase(here);
    }
  }
  for (const auto& attachment : over) attachment->Retire([] {});
  Wake();
}

void Datasets::Clear() {
  std::list<Parked> parked;
  absl::flat_hash_map<DatasetId, State> states;
  {
    MutexLock lock(mutex_);
    parked.swap(parked_);
    states.swap(states_);
  }
  for (auto& [id, state] : states) {
    if (state.attachment != nullptr) state.attachment->Retire([] {});
  }
}

}  // namespace flocker
