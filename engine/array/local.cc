#include "engine/array/local.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/file_claim.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

// The one program that claims files of a pool; no other is killed for having one.
constexpr char kUser[] = "flocker-lun";
// For what it has under way. A stopped one does not notice that it is to let go.
constexpr absl::Duration kPatience = absl::Milliseconds(500);

// Whose session a claim is: nobody else's claim holds while the door shows this user.
std::string SessionOf(const std::optional<FileDoor>& door, pid_t claimant) {
  return door ? door->user : absl::StrCat("process ", claimant);
}

}  // namespace

LocalArray::LocalArray(LocalConfig config)
    : config_(std::move(config)), shell_(std::vector<std::string>()), pool_(shell_, config_.pool) {}

void LocalArray::OnRestart(std::function<void()> /*restarted*/) {}

absl::StatusOr<PoolCapacity> LocalArray::Capacity() { return pool_.Capacity(); }

absl::Status LocalArray::Create(const DatasetId& id, uint64_t size, const std::string& record) {
  return pool_.CreateWithRecord(id, size, record);
}

absl::Status LocalArray::WriteRecord(const DatasetId& id, const std::string& record) {
  return pool_.WriteRecord(id, record);
}

// Who has the file sees its new size when it asks for it again, and with its next grant at the latest.
absl::Status LocalArray::Resize(const DatasetId& id, uint64_t size) { return pool_.GrowTo(id, size); }

absl::Status LocalArray::Destroy(const DatasetId& id) {
  const std::string file = pool_.BackingFile(id);
  ASSIGN_OR_RETURN(const std::optional<pid_t> claimant, ClaimantOf(file));
  if (claimant) {
    ASSIGN_OR_RETURN(const std::optional<FileDoor> door, DoorOf(file));
    return absl::FailedPreconditionError(absl::StrCat("cannot destroy ", file, ": ", SessionOf(door, *claimant),
                                                      " has it. Revoke or fence its grant first"));
  }
  RETURN_IF_ERROR(Withdraw(id, nullptr));
  return pool_.Remove(id);
}

absl::StatusOr<LunAddress> LocalArray::Grant(const DatasetId& id, const flocker::Grant& grant) {
  const std::string file = pool_.BackingFile(id);
  ASSIGN_OR_RETURN(const std::optional<uint64_t> size, pool_.Size(id));
  if (!size) return absl::NotFoundError(absl::StrCat("cannot grant ", file, ": it does not exist"));
  const LunAddress address{.portal = "", .target = file, .lun = 0};
  const FileDoor wanted{.open = true, .user = grant.initiator};
  ASSIGN_OR_RETURN(const std::optional<FileDoor> door, DoorOf(file));
  if (door == wanted) return address;
  ASSIGN_OR_RETURN(std::optional<pid_t> claimant, ClaimantOf(file));
  if (!claimant && door && door->open) {
    // Whom it is open for could begin between this look and the next grant.
    RETURN_IF_ERROR(SetDoor(file, {.open = false, .user = door->user}));
    ASSIGN_OR_RETURN(claimant, ClaimantOf(file));
  }
  if (claimant) {
    return absl::FailedPreconditionError(absl::StrCat("cannot grant ", file, " to ", grant.initiator, ": ",
                                                      SessionOf(door, *claimant),
                                                      " has it. Revoke or fence its grant first"));
  }
  RETURN_IF_ERROR(SetDoor(file, wanted));
  return address;
}

absl::Status LocalArray::Revoke(const DatasetId& id, const flocker::Grant& grant) { return Withdraw(id, &grant); }

absl::Status LocalArray::Fence(const DatasetId& id, const flocker::Grant& grant) { return Withdraw(id, &grant); }

absl::Status LocalArray::CutOff(const DatasetId& id) { return Withdraw(id, nullptr); }

absl::StatusOr<LunAddress> LocalArray::Renew(const DatasetId& id, const flocker::Grant& previous,
                                             const flocker::Grant& next) {
  RETURN_IF_ERROR(Fence(id, previous));
  return Grant(id, next);
}

// Withdraws `only`, or whatever grant there is. The door stays, closed, until nobody has the file: a call that is
// repeated, and whoever lists, then still knows whose it was.
absl::Status LocalArray::Withdraw(const DatasetId& id, const flocker::Grant* only) const {
  const std::string file = pool_.BackingFile(id);
  ASSIGN_OR_RETURN(const std::optional<FileDoor> door, DoorOf(file));
  if (door && only != nullptr && door->user != only->initiator) return absl::OkStatus();
  if (door && door->open && !SetDoor(file, {.open = false, .user = door->user}).ok()) {
    // A full pool has no room for another one. None at all is as good as closed.
    RETURN_IF_ERROR(RemoveDoor(file));
    RETURN_IF_ERROR(SyncDirectory(std::filesystem::path(file).parent_path()));
  }
  RETURN_IF_ERROR(Annotate(WaitUnclaimed(file, kUser, kPatience, config_.fence_timeout),
                           absl::StrCat("cannot withdraw the grant of ", door ? door->user : id.str())));
  return RemoveDoor(file);
}

absl::StatusOr<std::vector<ArrayEntry>> LocalArray::List() {
  ASSIGN_OR_RETURN(const auto stored, pool_.List());
  std::vector<ArrayEntry> list;
  list.reserve(stored.size());
  for (const auto& [id, held] : stored) {
    ArrayEntry& entry = list.emplace_back();
    entry = {.id = id, .size = held.size, .used = held.used, .record = held.record};
    const std::string file = pool_.BackingFile(id);
    ASSIGN_OR_RETURN(const std::optional<FileDoor> door, DoorOf(file));
    ASSIGN_OR_RETURN(const std::optional<pid_t> claimant, ClaimantOf(file));
    entry.exported = door && door->open;
    if (entry.exported) entry.allowed = {door->user};
    if (claimant) entry.sessions.push_back({SessionOf(door, *claimant), static_cast<uint64_t>(*claimant)});
  }
  return list;
}

}  // namespace flocker
