#include "sim_array.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/planner.h"

namespace flocker::sim {
namespace {

absl::Status Away() { return absl::UnavailableError("the array cannot be reached"); }

}  // namespace

// ---- driver ----

// A call can fail before it did anything, or after it did everything (its answer got lost).
absl::Status SimArray::MayFail() {
  if (!up_) return Away();
  return sim_.random.Percent(failing_percent_) ? Away() : absl::OkStatus();
}

SimArray::Lun* SimArray::FindLun(const DatasetId& id) {
  const auto it = luns_.find(id);
  return it == luns_.end() ? nullptr : &it->second;
}

absl::StatusOr<PoolCapacity> SimArray::Capacity() {
  RETURN_IF_ERROR(MayFail());
  return PoolCapacity{.total = uint64_t{1} << 44, .free = uint64_t{1} << 43};
}

absl::Status SimArray::Create(const DatasetId& id, uint64_t size, const std::string& record) {
  RETURN_IF_ERROR(MayFail());
  Lun& lun = luns_[id];
  if (lun.exists && lun.size != size) return absl::AlreadyExistsError("a LUN of another size is there");
  lun.exists = true;
  lun.size = size;
  lun.record = record;
  return MayFail();
}

absl::Status SimArray::Resize(const DatasetId& id, uint64_t size) {
  RETURN_IF_ERROR(MayFail());
  Lun* lun = FindLun(id);
  if (lun == nullptr) return absl::NotFoundError("no LUN to grow");
  if (size < lun->size) return absl::InvalidArgumentError("it would shrink");
  if (!lun->sessions.empty()) sim_.truth.Violated(absl::StrCat(id.Short(), " grows under a session"));
  lun->size = size;
  return MayFail();
}

absl::Status SimArray::Destroy(const DatasetId& id) {
  RETURN_IF_ERROR(MayFail());
  if (const Lun* lun = FindLun(id); lun != nullptr && !lun->sessions.empty()) {
    return absl::FailedPreconditionError("a session is alive");
  }
  luns_.erase(id);
  return MayFail();
}

absl::Status SimArray::WriteRecord(const DatasetId& id, const std::string& record) {
  RETURN_IF_ERROR(MayFail());
  luns_[id].record = record;
  return MayFail();
}

absl::StatusOr<LunAddress> SimArray::Grant(const DatasetId& id, const flocker::Grant& grant) {
  RETURN_IF_ERROR(MayFail());
  auto address = Export(id, grant);
  RETURN_IF_ERROR(MayFail());
  return address;
}

absl::StatusOr<LunAddress> SimArray::Export(const DatasetId& id, const flocker::Grant& grant) {
  Lun* lun = FindLun(id);
  if (lun == nullptr || !lun->exists) return absl::NotFoundError("no LUN to grant");
  const bool check = !sim_.planted(Plant::kGrantBeforeRevoke) && !sim_.planted(Plant::kFenceNotVerified);
  for (const Session& session : lun->sessions) {
    if (check && session.initiator != grant.initiator) {
      return absl::FailedPreconditionError(absl::StrCat("a session of ", session.initiator, " is alive"));
    }
  }
  sim_.truth.Granted(id, grant);
  lun->exported = true;
  if (!sim_.planted(Plant::kGrantBeforeRevoke)) lun->allowed.clear();
  std::erase(lun->allowed, grant);
  lun->allowed.push_back(grant);
  Check(id);
  sim_.Say("array   ", id.Short(), " granted e", grant.epoch);
  return LunAddress{.portal = "array:3260", .target = absl::StrCat("iqn.x:", id.str()), .lun = 1};
}

absl::Status SimArray::Revoke(const DatasetId& id, const flocker::Grant& grant) {
  RETURN_IF_ERROR(MayFail());
  RETURN_IF_ERROR(Withdraw(id, grant));
  return MayFail();
}

absl::Status SimArray::Fence(const DatasetId& id, const flocker::Grant& grant) {
  RETURN_IF_ERROR(MayFail());
  RETURN_IF_ERROR(Withdraw(id, grant));
  return MayFail();
}

absl::StatusOr<LunAddress> SimArray::Renew(const DatasetId& id, const flocker::Grant& previous,
                                           const flocker::Grant& next) {
  RETURN_IF_ERROR(Fence(id, previous));
  return Grant(id, next);
}

absl::Status SimArray::CutOff(const DatasetId& id) {
  RETURN_IF_ERROR(MayFail());
  std::vector<flocker::Grant> grants;
  if (const Lun* lun = FindLun(id)) {
    grants = lun->allowed;
    for (const Session& session : lun->sessions) grants.push_back(GrantOfInitiator(id, session.initiator));
  }
  for (const flocker::Grant& grant : grants) RETURN_IF_ERROR(Withdraw(id, grant));
  return MayFail();
}

absl::Status SimArray::Withdraw(const DatasetId& id, const flocker::Grant& grant) {
  Lun* lun = FindLun(id);
  if (lun == nullptr) return absl::OkStatus();
  std::erase_if(lun->allowed, [&](const flocker::Grant& each) { return each.initiator == grant.initiator; });
  for (Session& session : lun->sessions) {
    if (session.initiator == grant.initiator) CutSession(session, "cut by the array");
  }
  Reap(id);
  for (const Session& session : lun->sessions) {
    if (session.initiator != grant.initiator || sim_.planted(Plant::kFenceNotVerified)) continue;
    sim_.Say("array   ", id.Short(), " e", grant.epoch, " stays: a command is stuck");
    return absl::DeadlineExceededError(absl::StrCat("session ", session.id, " has a command in the backing store"));
  }
  if (lun->allowed.empty()) lun->exported = false;
  sim_.Say("array   ", id.Short(), " withdrew e", grant.epoch);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ArrayEntry>> SimArray::List() {
  RETURN_IF_ERROR(MayFail());
  std::vector<ArrayEntry> list;
  for (auto& [id, entry] : Everything()) list.push_back(entry);
  return list;
}

// ---- data path ----

void SimArray::Login(const std::shared_ptr<Connection>& connection, const DatasetId& id, const std::string& initiator,
                     uint64_t epoch, const std::string& secret) {
  if (!up_) return;
  Lun* lun = FindLun(id);
  const bool welcome = lun != nullptr && lun->exported &&
                       std::any_of(lun->allowed.begin(), lun->allowed.end(), [&](const flocker::Grant& grant) {
                         if (sim_.planted(Plant::kEpochNotCompared))
                           return initiator.find(grant.node.str()) != std::string::npos;
                         return grant.initiator == initiator && grant.secret == secret;
                       });
  if (welcome) {
    lun->sessions.push_back(
        {.id = ++last_session_, .initiator = initiator, .epoch = epoch, .connection = connection, .cut = false});
    sim_.truth.LoggedIn(id, epoch);
    Check(id);
  }
  connection->down.Send([connection, welcome] {
    if (connection->on_login) connection->on_login(welcome);
  });
}

void SimArray::Execute(const std::shared_ptr<Connection>& connection, const Command& command, Reply reply) {
  if (!up_) return;
  for (auto& [id, lun] : luns_) {
    for (Session& session : lun.sessions) {
      if (session.connection != connection || session.cut) continue;
      // Its threads take commands out of their order at all times, and for long while that is a fault.
      const bool stuck = sim_.random.Percent(stuck_percent_);
      if (stuck || sim_.random.Percent(5)) {
        ++session.stuck;
        const absl::Duration lasts =
            sim_.random.Between(absl::Milliseconds(10), stuck ? absl::Seconds(6) : absl::Seconds(1));
        sim_.clock.After(life_, lasts, [this, at = id, number = session.id, command, reply = std::move(reply)] {
          Unstick(at, number, command, reply);
        });
        return;
      }
      Apply(id, session, command);
      connection->down.Send([disk = lun.disk, reply = std::move(reply)] { reply(disk); });
      return;
    }
  }
}

SimArray::Session* SimArray::FindSession(const DatasetId& id, uint64_t number) {
  Lun* lun = FindLun(id);
  if (lun == nullptr) return nullptr;
  for (Session& session : lun->sessions) {
    if (session.id == number) return &session;
  }
  return nullptr;
}

void SimArray::Unstick(const DatasetId& id, uint64_t number, const Command& command, const Reply& reply) {
  Session* session = FindSession(id, number);
  if (session == nullptr) return;
  Apply(id, *session, command);
  --session->stuck;
  if (!session->cut) session->connection->down.Send([disk = luns_[id].disk, reply] { reply(disk); });
  Reap(id);
}

void SimArray::Apply(const DatasetId& id, Session& session, const Command& command) {
  Disk& disk = luns_[id].disk;
  switch (command.kind) {
    case Command::Kind::kWrite:
      for (const uint64_t number : command.numbers) {
        sim_.truth.Writes(id, session.epoch, number, disk.blocks);
        disk.blocks[number % kBlocks] = number;
      }
      return;
    case Command::Kind::kFormat:
      sim_.truth.Formats(id, session.epoch);
      disk = {.formatted = true, .blocks = {}};
      return;
    case Command::Kind::kRead:
      return sim_.truth.Reads(id, disk.blocks);
    case Command::Kind::kSync:
      return;
  }
}

void SimArray::Close(const std::shared_ptr<Connection>& connection) {
  for (auto& [id, lun] : luns_) {
    for (Session& session : lun.sessions) {
      if (session.connection == connection) session.cut = true;
    }
    Reap(id);
  }
}

void SimArray::CutSession(Session& session, const std::string& why) {
  if (std::exchange(session.cut, true)) return;
  session.connection->down.Send([connection = session.connection, why] {
    if (connection->on_closed) connection->on_closed(why);
  });
}

void SimArray::Reap(const DatasetId& id) {
  std::erase_if(luns_[id].sessions, [](const Session& session) { return session.cut && session.stuck == 0; });
}

void SimArray::Check(const DatasetId& id) {
  const Lun& lun = luns_[id];
  std::set<std::string> initiators;
  for (const flocker::Grant& grant : lun.allowed) initiators.insert(grant.initiator);
  for (const Session& session : lun.sessions) initiators.insert(session.initiator);
  sim_.truth.MayWrite(id, initiators);
}

// ---- faults ----

void SimArray::Crash() {
  sim_.Say("array   restarts");
  up_ = false;
  life_.End();  // what was in the backing store went with the process
  for (auto& [id, lun] : luns_) {
    lun.exported = false;
    lun.allowed.clear();
    for (Session& session : lun.sessions) CutSession(session, "the array is gone");
    lun.sessions.clear();
  }
}

void SimArray::Start() {
  up_ = true;
  if (restarted_) restarted_();
}

// ---- judgement ----

std::map<DatasetId, ArrayEntry> SimArray::Everything() const {
  std::map<DatasetId, ArrayEntry> all;
  for (const auto& [id, lun] : luns_) {
    ArrayEntry& entry = all[id];
    entry.id = id;
    if (lun.exists) entry.size = lun.size;
    entry.record = lun.record;
    entry.exported = lun.exported;
    for (const flocker::Grant& grant : lun.allowed) entry.allowed.push_back(grant.initiator);
    for (const Session& session : lun.sessions) entry.sessions.push_back({session.initiator, session.id});
  }
  return all;
}

const Disk* SimArray::disk(const DatasetId& id) const {
  const auto it = luns_.find(id);
  return it == luns_.end() ? nullptr : &it->second.disk;
}

}  // namespace flocker::sim
