#include "engine/array/tgt.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr uint32_t kLun = 1;  // 0 is tgt's own controller
constexpr absl::Duration kPollPause = absl::Milliseconds(10);

// A target id that no target ever had: a login that began on a target which is deleted meanwhile is finished by that
// number (tgt's usr/iscsi/session.c, session_create), so a number used twice would let it in where it was never
// allowed.
uint32_t FreshTid() {
  uint32_t tid = 0;
  do {
    tid = static_cast<uint32_t>(std::stoul(RandomHex(4), nullptr, 16)) & 0x7fffffff;  // tgtadm reads it as an int
  } while (tid == 0);
  return tid;
}

bool Contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool IsOurs(const TgtLun& lun) { return lun.number == kLun; }

// Exactly this grant, and nobody else, may log in.
bool Admits(const TgtTarget& target, const Grant& grant) {
  return target.allowed == std::vector{grant.initiator} && target.accounts == std::vector{grant.user};
}

bool ServesAnother(const TgtTarget& target, const Grant& than) {
  return !target.sessions.empty() ||
         std::any_of(target.allowed.begin(), target.allowed.end(),
                     [&](const std::string& initiator) { return initiator != than.initiator; }) ||
         std::any_of(target.accounts.begin(), target.accounts.end(),
                     [&](const std::string& user) { return user != than.user; });
}

}  // namespace

TgtArray::TgtArray(TgtConfig config)
    : config_(std::move(config)),
      shell_(config_.command_prefix),
      pool_(shell_, config_.pool),
      tgtadm_(shell_, config_.control_number) {}

void TgtArray::OnRestart(std::function<void()> restarted) {
  restarted_ = std::move(restarted);
  if (shell_.local()) watch_ = std::make_unique<TgtdWatch>(config_.control_number, [this] { Restarted(); });
}

void TgtArray::Restarted() {
  {
    const MutexLock lock(mutex_);
    granted_.clear();
    if (std::exchange(notified_, true)) return;
  }
  if (restarted_) restarted_();
}

absl::StatusOr<std::optional<TgtTarget>> TgtArray::Find(const DatasetId& id) {
  ASSIGN_OR_RETURN(std::vector<TgtTarget> targets, tgtadm_.Targets());
  for (TgtTarget& target : targets) {
    if (target.name == TargetName(id)) return std::move(target);
  }
  bool forgotten = false;
  {
    const MutexLock lock(mutex_);
    forgotten = granted_.contains(id);
  }
  if (forgotten) Restarted();
  return std::nullopt;
}

absl::StatusOr<PoolCapacity> TgtArray::Capacity() { return pool_.Capacity(); }

absl::Status TgtArray::Answers() { return tgtadm_.Answers(); }

absl::Status TgtArray::Create(const DatasetId& id, uint64_t size, const std::string& record) {
  return pool_.CreateWithRecord(id, size, record);
}

absl::Status TgtArray::WriteRecord(const DatasetId& id, const std::string& record) {
  return pool_.WriteRecord(id, record);
}

absl::Status TgtArray::Destroy(const DatasetId& id) {
  ASSIGN_OR_RETURN(const std::optional<TgtTarget> target, Find(id));
  if (target && !target->sessions.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("cannot destroy ", TargetName(id), ": initiator ",
                                                      target->sessions[0].initiator,
                                                      " is logged in. Revoke or fence its grant first"));
  }
  RETURN_IF_ERROR(Withdraw(id, nullptr));
  return pool_.Remove(id);
}

absl::Status TgtArray::Resize(const DatasetId& id, uint64_t size) {
  RETURN_IF_ERROR(pool_.GrowTo(id, size));
  ASSIGN_OR_RETURN(std::optional<TgtTarget> target, Find(id));
  if (!target) return absl::OkStatus();
  if (HasLun(*target, id, size)) return absl::OkStatus();

  // tgt cannot grow a LUN in place. The grant stays as it is: whoever comes back before the new LUN is there is the one
  // that may, and finds none for a moment.
  const absl::Time deadline = SteadyNow() + config_.fence_timeout;
  RETURN_IF_ERROR(DeleteConnections(*target, nullptr, nullptr));
  const bool old = std::any_of(target->luns.begin(), target->luns.end(), IsOurs);
  while (old) {
    absl::Status deleted = tgtadm_.DeleteLun(target->tid, kLun);
    if (deleted.ok()) break;
    if (!absl::IsInternal(deleted)) return deleted;
    if (SteadyNow() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat("cannot grow the LUN of ", target->name,
                                                      ": a command is still in the backing store (", deleted.message(),
                                                      ")"));
    }
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(kPollPause));
  }
  return tgtadm_.NewLun(target->tid, kLun, pool_.BackingFile(id), id.str());
}

absl::StatusOr<LunAddress> TgtArray::Grant(const DatasetId& id, const flocker::Grant& grant) {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> size, pool_.Size(id));
  if (!size) return absl::NotFoundError(absl::StrCat("cannot grant ", pool_.BackingFile(id), ": it does not exist"));
  const LunAddress address{config_.portal, TargetName(id), kLun};
  ASSIGN_OR_RETURN(const std::optional<TgtTarget> target, Find(id));
  if (target) {
    for (const TgtSession& session : target->sessions) {
      if (session.initiator == grant.initiator) continue;
      return absl::FailedPreconditionError(absl::StrCat("cannot grant ", target->name, " to ", grant.initiator,
                                                        ": session ", session.id, " of ", session.initiator,
                                                        " is alive. Revoke or fence its grant first"));
    }
  }
  if (!target || !HasLun(*target, id, *size) || !Admits(*target, grant)) {
    // Anything less than the whole is the trace of a crash, or of a grant nobody withdrew.
    RETURN_IF_ERROR(Withdraw(id, nullptr));
    RETURN_IF_ERROR(Export(id, grant));
  }
  const MutexLock lock(mutex_);
  granted_.insert(id);
  notified_ = false;
  return address;
}

// Nobody is let in before everything is in place: without an account bound, tgt would ask for no password.
absl::Status TgtArray::Export(const DatasetId& id, const flocker::Grant& grant) {
  const uint32_t tid = FreshTid();
  RETURN_IF_ERROR(tgtadm_.NewTarget(tid, TargetName(id)));
  RETURN_IF_ERROR(tgtadm_.NewLun(tid, kLun, pool_.BackingFile(id), id.str()));
  absl::Status made = tgtadm_.NewAccount(grant.user, grant.secret);
  if (absl::IsInternal(made)) {  // there is one: the trace of a crash
    RETURN_IF_ERROR(tgtadm_.DeleteAccount(grant.user));
    made = tgtadm_.NewAccount(grant.user, grant.secret);
  }
  RETURN_IF_ERROR(made);
  RETURN_IF_ERROR(tgtadm_.BindAccount(tid, grant.user));
  return tgtadm_.Allow(tid, grant.initiator);
}

absl::Status TgtArray::Revoke(const DatasetId& id, const flocker::Grant& grant) { return Withdraw(id, &grant); }

absl::Status TgtArray::Fence(const DatasetId& id, const flocker::Grant& grant) { return Withdraw(id, &grant); }

absl::Status TgtArray::CutOff(const DatasetId& id) { return Withdraw(id, nullptr); }

absl::StatusOr<LunAddress> TgtArray::Renew(const DatasetId& id, const flocker::Grant& previous,
                                           const flocker::Grant& next) {
  RETURN_IF_ERROR(Fence(id, previous));
  return Grant(id, next);
}

// Withdraws `only`, or every grant there is, and then the target, unless it serves another. See README.md for why each
// of these steps is needed.
absl::Status TgtArray::Withdraw(const DatasetId& id, const flocker::Grant* only) {
  const absl::Time deadline = SteadyNow() + config_.fence_timeout;
  std::set<uint64_t> cut;
  bool account_left = only != nullptr;  // for all we know
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<TgtTarget> target, Find(id));
    if (!target) break;
    {
      const MutexLock lock(mutex_);
      granted_.erase(id);  // from here on its target may be missing
    }
    RETURN_IF_ERROR(CloseDoor(*target, only));
    if (account_left && Contains(target->accounts, only->user)) account_left = false;
    RETURN_IF_ERROR(DeleteConnections(*target, only, &cut));

    const auto session = std::find_if(target->sessions.begin(), target->sessions.end(), [&](const TgtSession& each) {
      return only == nullptr || each.initiator == only->initiator;
    });
    absl::Status stalled;
    if (session != target->sessions.end()) {
      stalled = absl::DeadlineExceededError(
          absl::StrCat("session ", session->id, " of initiator ", session->initiator, " on ", target->name,
                       " still has a command in the backing store after ", absl::FormatDuration(config_.fence_timeout),
                       ". Nobody else may be let in before it ends"));
    } else if (only != nullptr && ServesAnother(*target, *only)) {
      break;
    } else {
      // Refused when a login that had begun was finished since: then it is a session to cut.
      absl::Status deleted = tgtadm_.DeleteTarget(target->tid);
      if (deleted.ok()) break;
      if (!absl::IsInternal(deleted)) return deleted;
      stalled = absl::DeadlineExceededError(deleted.message());
    }
    if (SteadyNow() > deadline) return stalled;
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(kPollPause));
  }
  return account_left ? ForgetAccount(only->user) : absl::OkStatus();
}

// Takes the permission to log in away. A login needs both, the entry in the list first: without an account no password
// would be asked.
absl::Status TgtArray::CloseDoor(const TgtTarget& target, const flocker::Grant* only) const {
  for (const std::string& initiator : target.allowed) {
    if (only == nullptr || initiator == only->initiator) RETURN_IF_ERROR(tgtadm_.Disallow(target.tid, initiator));
  }
  for (const std::string& user : target.accounts) {
    if (only == nullptr || user == only->user) RETURN_IF_ERROR(tgtadm_.DeleteAccount(user));
  }
  return absl::OkStatus();
}

// Each connection once: a closed one that waits for its last command would only be closed again.
absl::Status TgtArray::DeleteConnections(const TgtTarget& target, const flocker::Grant* only,
                                         std::set<uint64_t>* cut) const {
  for (const TgtSession& session : target.sessions) {
    if (only != nullptr && session.initiator != only->initiator) continue;
    if (cut != nullptr && !cut->insert(session.id).second) continue;
    for (const uint32_t connection : session.connections) {
      // Refused when the connection ended by itself meanwhile; what counts is what the next show says.
      absl::Status deleted = tgtadm_.DeleteConnection(target.tid, session.id, connection);
      if (!deleted.ok() && !absl::IsInternal(deleted)) return deleted;
    }
  }
  return absl::OkStatus();
}

absl::Status TgtArray::ForgetAccount(const std::string& user) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> accounts, tgtadm_.Accounts());
  return Contains(accounts, user) ? tgtadm_.DeleteAccount(user) : absl::OkStatus();
}

bool TgtArray::HasLun(const TgtTarget& target, const DatasetId& id, uint64_t size) const {
  const auto lun = std::find_if(target.luns.begin(), target.luns.end(), IsOurs);
  return lun != target.luns.end() && lun->backing_file == pool_.BackingFile(id) && lun->scsi_id == id.str() &&
         lun->thin && lun->megabytes == size / 1'000'000;
}

absl::StatusOr<std::vector<ArrayEntry>> TgtArray::List() {
  // Targets first: a dataset that is created meanwhile may appear without its target, never the other way round.
  ASSIGN_OR_RETURN(const std::vector<TgtTarget> targets, tgtadm_.Targets());
  ASSIGN_OR_RETURN(const auto stored, pool_.List());
  std::map<DatasetId, ArrayEntry> entries;
  for (const auto& [id, held] : stored)
    entries[id] = {.id = id, .size = held.size, .used = held.used, .record = held.record};
  for (const TgtTarget& target : targets) {
    if (!absl::StartsWith(target.name, config_.iqn_prefix)) continue;
    const auto id = DatasetId::Parse(std::string_view(target.name).substr(config_.iqn_prefix.size()));
    if (!id || TargetName(*id) != target.name) continue;
    // Another cluster on the same tgtd names its targets alike; ours serve a file of our pool. One without a LUN is the
    // trace of a crash.
    const auto lun = std::find_if(target.luns.begin(), target.luns.end(), IsOurs);
    const bool ours = lun != target.luns.end() ? lun->backing_file == pool_.BackingFile(*id) : stored.contains(*id);
    if (!ours) continue;
    ArrayEntry& entry = entries[*id];
    entry.id = *id;
    entry.exported = true;
    entry.allowed = target.allowed;
    for (const TgtSession& session : target.sessions) entry.sessions.push_back({session.initiator, session.id});
  }
  std::vector<ArrayEntry> list;
  list.reserve(entries.size());
  for (auto& [id, entry] : entries) list.push_back(std::move(entry));
  return list;
}

}  // namespace flocker
